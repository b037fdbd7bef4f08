"""Everything that can go wrong and be told to the user in one message.

AtnetError                 anything below; a command prints its message and exits with 1
├── ConfigurationError     params.yaml: unknown key, wrong type, value out of range
├── DataError              the labelled texts
│   ├── DataFileError      a file is missing, empty, cut short or not what it is said to be
│   └── DataContractError  the file reads well, but its contents cannot be trained on
├── ModelError             a model's files are missing, damaged or disagree with each other
├── StoreError             the MLflow store, the package registry or DVC does not answer
├── ReleaseError           the registry's state forbids the act that was asked for
└── MonitoringError        a window cannot be monitored, or a review cannot be merged

A message says what was found, where, and what to do next.
"""


class AtnetError(Exception):
    """Anything the user can mend; its message is all they need to see."""


class ConfigurationError(AtnetError):
    """A value in params.yaml cannot be used."""


class DataError(AtnetError):
    """The labelled texts cannot be used."""


class DataFileError(DataError):
    """A data file is missing, empty, cut short or not of the stated format."""


class DataContractError(DataError):
    """The data reads well but breaks a rule it must keep."""


class ModelError(AtnetError):
    """A model's files are missing, damaged or disagree with each other."""


class StoreError(AtnetError):
    """A service that keeps something for us does not answer."""


class ReleaseError(AtnetError):
    """The registry's state forbids the act that was asked for."""


class MonitoringError(AtnetError):
    """A window cannot be monitored, or a review cannot be merged."""
