"""The settings of a service, passed from the supervisor to the other processes as one JSON file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from atnet.config import ServeConfig, TrackingConfig
from atnet.serving.state_files import write_state

URI_VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"
SETTINGS_FILE = "settings.json"
RATE_FILE = "rates"
"""Token buckets of the API keys, shared by the workers."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The sections of params.yaml that the service uses, and where it runs."""

    config: ServeConfig
    tracking: TrackingConfig
    root: Path
    """The project folder; relative paths start here."""
    shadow: bool

    @property
    def model(self) -> str:
        """Name of the registered model."""
        return self.tracking.model_name

    @property
    def folder(self) -> Path:
        """The folder with downloaded models and the service's state."""
        return self.root / self.config.state_folder

    @property
    def metrics_folder(self) -> Path:
        """The folder through which the processes share their metrics."""
        return self.folder / "metrics"

    @property
    def registry_uri(self) -> str:
        """The address of the registry."""
        # MLFLOW_TRACKING_URI is not written to the settings file: it may contain a password.
        return registry_uri(self.tracking.uri, self.root)

    @property
    def operations_experiment(self) -> str:
        """The MLflow experiment of runs that train nothing."""
        return f"{self.tracking.experiment}-operations"

    def save(self) -> Path:
        """Write the settings for the other processes and return the file."""
        path = self.folder / SETTINGS_FILE
        values = {
            "config": self.config.model_dump(mode="json"),
            "tracking": self.tracking.model_dump(mode="json"),
            "root": str(self.root),
            "shadow": self.shadow,
        }
        write_state(path, values)
        return path

    @classmethod
    def load(cls, path: Path) -> "ServiceSettings":
        """Read the settings that the supervisor wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            config=ServeConfig.model_validate(values["config"]),
            tracking=TrackingConfig.model_validate(values["tracking"]),
            root=Path(values["root"]),
            shadow=values["shadow"],
        )


def registry_uri(configured: str, root: Path) -> str:
    """Return the address of the registry, as `tracking.store.resolve_uri` does; importing that one needs pandas."""
    uri = os.environ.get(URI_VARIABLE) or configured
    if uri.startswith(SQLITE):
        return f"{SQLITE}{(root / uri.removeprefix(SQLITE)).resolve()}"
    return uri
