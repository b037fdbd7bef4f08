"""What the processes of a service need to know, handed from the supervisor to the others as one JSON file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from atnet.config import Params, ServeConfig
from atnet.serving.files import write_whole

URI_VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"
SETTINGS_FILE = "settings.json"
RATE_FILE = "rates"
"""Token buckets of the API keys, shared by the workers."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The section `serve` of params.yaml with what it leaves open."""

    config: ServeConfig
    root: Path
    """The project's folder; relative paths start here."""
    model: str
    """Name of the registered model."""
    tracking_uri: str
    """As configured; MLFLOW_TRACKING_URI wins, and is not written to disk: it may hold a password."""
    experiment: str
    """MLflow experiment of runs that train nothing."""
    shadow: bool

    @property
    def folder(self) -> Path:
        """The folder with downloaded models and the service's state."""
        return self.root / self.config.folder

    @property
    def registry_uri(self) -> str:
        """The address of the registry."""
        return registry_uri(self.tracking_uri, self.root)

    @property
    def metrics_folder(self) -> Path:
        """The folder in which the processes share their metrics."""
        return self.folder / "metrics"

    def save(self) -> Path:
        """Write the settings for the other processes and return the file."""
        path = self.folder / SETTINGS_FILE
        values = {
            "config": self.config.model_dump(mode="json"),
            "root": str(self.root),
            "model": self.model,
            "tracking_uri": self.tracking_uri,
            "experiment": self.experiment,
            "shadow": self.shadow,
        }
        write_whole(path, values)
        return path

    @classmethod
    def load(cls, path: Path) -> "ServiceSettings":
        """Read what the supervisor has written."""
        values = json.loads(path.read_text(encoding="utf-8"))
        config = ServeConfig.model_validate(values.pop("config"))
        return cls(config=config, root=Path(values.pop("root")), **values)


def service_settings(params: Params, root: Path, *, shadow: bool) -> ServiceSettings:
    """Build the settings of a service from params.yaml."""
    root = root.resolve()
    operations = f"{params.tracking.experiment}-operations"
    return ServiceSettings(
        config=params.serve,
        root=root,
        model=params.tracking.model_name,
        tracking_uri=params.tracking.uri,
        experiment=operations,
        shadow=shadow,
    )


def registry_uri(configured: str, root: Path) -> str:
    """Return the address of the registry as `tracking.store.resolve_uri` does, which needs pandas to be imported."""
    uri = os.environ.get(URI_VARIABLE) or configured
    if uri.startswith(SQLITE):
        return f"{SQLITE}{(root / uri.removeprefix(SQLITE)).resolve()}"
    return uri
