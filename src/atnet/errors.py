"""The errors that are shown to the user as one message.

AtnetError                 any of the below; a command prints its message and exits with code 1
├── ConfigurationError     params.yaml: unknown key, wrong type, value out of range
├── DataError              the labeled texts
│   ├── DataFileError      a file is missing, empty, cut short or of another format
│   └── DataContractError  the file can be read, but a model cannot be trained on its contents
├── ModelError             a model's files are missing, damaged or disagree with each other
├── StoreError             the MLflow store, the package registry or DVC does not answer
├── ProcessInterrupted     a child process was killed from outside or ran out of time, memory or disk space
├── ReleaseError           the state of the registry does not allow the command
└── MonitoringError        texts cannot be monitored, or a review cannot be merged

A message says what happened, where, and what to do next.
"""

from atnet.redaction import redact


class AtnetError(Exception):
    """An error that the user can fix; its message is all they need to see, and contains no secret."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class ConfigurationError(AtnetError):
    """A value in params.yaml is invalid."""


class DataError(AtnetError):
    """The labeled texts cannot be used."""


class DataFileError(DataError):
    """A data file is missing, empty, cut short or of another format."""


class DataContractError(DataError):
    """The data can be read, but a model cannot be trained on them."""


class ModelError(AtnetError):
    """A model's files are missing, damaged or disagree with each other."""


class StoreError(AtnetError):
    """The MLflow store, the package registry or DVC does not answer."""


class ProcessInterrupted(AtnetError):
    """A child process was killed or ran out of time or memory; this says nothing about the model it was working on."""


class ReleaseError(AtnetError):
    """The state of the registry does not allow the command."""


class MonitoringError(AtnetError):
    """Texts cannot be monitored, or a review cannot be merged."""
