"""Ports, folders and credentials of the demo."""

import json
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atnet.errors import ConfigurationError
from atnet.files import STATE

FOLDER = STATE / "team-demo"
SECRETS_FILE = "secrets.json"
LOCAL = "127.0.0.1"
ADMIN = "admin"
WORKER = "worker"
"""The MLflow user of flows that a Prefect worker runs."""
TEAM = ("alice", "bob")
"""The MLflow users of the demo."""
DATABASES = {"mlflow": "mlflow", "mlflow_auth": "mlflow", "prefect": "prefect", "optuna": "optuna", "texts": "texts"}
"""Database -> its owner. One database each: MLflow, Prefect and Optuna would share one `alembic_version`."""
ARTIFACT_BUCKET, DATA_BUCKET = "mlflow", "dvc"
SEAWEEDFS_PORTS = 7
"""Ports after the S3 port that SeaweedFS's own parts use."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the servers listen, all on this machine only."""

    mlflow: int
    prefect: int
    postgresql: int
    s3: int


@dataclass(frozen=True, slots=True)
class Demo:
    """Everything that the demo's servers and users must know."""

    folder: Path
    """Absolute; only its owner may enter it."""
    ports: Ports
    passwords: Mapping[str, str]
    """Passwords of the database roles, the MLflow users, S3 and Prefect, by name."""

    def database_url(self, name: str, driver: str = "postgresql+psycopg") -> str:
        """Return the address of a database, with its owner's password."""
        owner = DATABASES[name]
        password = self.passwords[f"database_{owner}"]
        return f"{driver}://{owner}:{password}@{LOCAL}:{self.ports.postgresql}/{name}"

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow's server."""
        return f"http://{LOCAL}:{self.ports.mlflow}"

    @property
    def prefect_url(self) -> str:
        """The address of Prefect's API."""
        return f"http://{LOCAL}:{self.ports.prefect}/api"

    @property
    def s3_url(self) -> str:
        """The address of the S3 server."""
        return f"http://{LOCAL}:{self.ports.s3}"

    def s3_environment(self, identity: str) -> dict[str, str]:
        """Return the variables by which boto3 and DVC reach the S3 server as `mlflow` or as `team`."""
        return {
            "AWS_ENDPOINT_URL_S3": self.s3_url,
            "AWS_ACCESS_KEY_ID": self.passwords[f"s3_{identity}_id"],
            "AWS_SECRET_ACCESS_KEY": self.passwords[f"s3_{identity}_key"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def user_environment(self, user: str) -> dict[str, str]:
        """Return the variables that a user, or the Prefect worker, sets to work with the servers."""
        return {
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": self.passwords[f"mlflow_{user}"],
            "PREFECT_API_URL": self.prefect_url,
            "PREFECT_API_AUTH_STRING": self.passwords["prefect"],
            "ATNET_TUNE_STORAGE": self.database_url("optuna"),
            # For addresses without a password, such as that of `dvc import-db`.
            "PGPASSWORD": self.passwords["database_texts"],
            **self.s3_environment("team"),
        }


def read_ports(environment: Mapping[str, str]) -> Ports:
    """Read the ports from MLFLOW_PORT, PREFECT_PORT, POSTGRES_PORT and S3_PORT.

    Raises:
        ConfigurationError: if one is not a port, or if two are the same.
    """

    def port(name: str, default: int) -> int:
        value = environment.get(name) or str(default)
        if not value.isdigit() or not 0 < int(value) < 65536:
            raise ConfigurationError(f"{name}={value} is not a port. Set it to a number from 1 to 65535.")
        return int(value)

    ports = Ports(
        mlflow=port("MLFLOW_PORT", 5000),
        prefect=port("PREFECT_PORT", 4200),
        postgresql=port("POSTGRES_PORT", 5432),
        s3=port("S3_PORT", 8333),
    )
    used = [ports.mlflow, ports.prefect, ports.postgresql, *range(ports.s3, ports.s3 + SEAWEEDFS_PORTS + 1)]
    if len(set(used)) < len(used):
        raise ConfigurationError(
            f"MLFLOW_PORT={ports.mlflow}, PREFECT_PORT={ports.prefect}, POSTGRES_PORT={ports.postgresql} and "
            f"S3_PORT={ports.s3} with the {SEAWEEDFS_PORTS} ports after it must not overlap."
        )
    return ports


def load_demo(root: Path, ports: Ports) -> Demo:
    """Read the demo's credentials; create them, and the folder, at the first start."""
    folder = (root / FOLDER).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / SECRETS_FILE
    if not path.exists():
        write_private(path, json.dumps(_new_passwords(), indent=2))
    return Demo(folder, ports, json.loads(path.read_text(encoding="utf-8")))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, replacing it as a whole."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)


def write_user_files(demo: Demo) -> None:
    """Write one file per user with the variables to set: `set -a; . FILE; set +a`."""
    for user in TEAM:
        variables = demo.user_environment(user)
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
        write_private(demo.folder / f"{user}.env", "".join(lines))


def _new_passwords() -> dict[str, str]:
    names = [
        *(f"database_{owner}" for owner in sorted({"postgres", *DATABASES.values()})),
        *(f"mlflow_{user}" for user in (ADMIN, WORKER, *TEAM)),
        *(f"s3_{identity}_{part}" for identity in ("mlflow", "team") for part in ("id", "key")),
        "mlflow_cookies",
    ]
    passwords = {name: secrets.token_urlsafe(24) for name in names}
    return {**passwords, "prefect": f"{ADMIN}:{secrets.token_urlsafe(24)}"}
