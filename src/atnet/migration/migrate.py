"""Copy the store of a SQLite file to an MLflow server, and compare both."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from atnet.config import Params
from atnet.errors import StoreError
from atnet.registry.artifacts import smoke_test
from atnet.registry.ledger_store import read_ledger
from atnet.registry.registry_copy import copy_registered_model
from atnet.registry.versions import Registry, aliases, open_registry, open_registry_copy, version, versions
from atnet.storage import project_root
from atnet.tracking.sqlite_copy import copy_database
from atnet.tracking.store_copy import StoreCopy

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """What a call has copied."""

    copied_runs: int
    present_runs: int
    """Runs that an earlier call had copied."""
    open_runs: int
    """Runs that are still being written, and were left out."""
    versions: int
    aliases: dict[str, int]
    ledger_lines: int
    files: int
    """Files that were uploaded by this call and compared by their SHA-256."""
    address: str


def migrate_store(params: Params, root: Path, database: Path) -> Migration:
    """Copy runs, models, versions, aliases and the ledger from a SQLite file to the configured server.

    The file is read from a copy and never changed. A call that was interrupted is completed by the next.

    Raises:
        StoreError: if the target is not a server, if a store does not answer, or if something differs afterwards.
        ReleaseError: if the server has other versions of the registered model.
        ModelError: if a version under an alias does not load from the server.
    """
    root = project_root(root)
    if not database.is_file():
        problem = "is a folder" if database.is_dir() else "does not exist"
        raise StoreError(f"{database} {problem}. Name the SQLite file of the store: `atnet migrate-store mlflow.db`.")
    target = open_registry(params.tracking, root)
    if not target.store.is_server:
        raise StoreError(
            "The target is not an MLflow server. Set MLFLOW_TRACKING_URI (or tracking.uri) to its address first."
        )
    with tempfile.TemporaryDirectory(prefix="atnet-migrate-") as folder:
        snapshot = Path(folder) / "mlflow.db"
        copy_database(database, snapshot)
        source = open_registry_copy(params.tracking, snapshot, root)
        copy = StoreCopy(source.store, target.store)
        copied, present = copy.copy_runs()
        count = copy_registered_model(source, target, copy)
        _compare(source, target)
    return Migration(
        copied_runs=copied,
        present_runs=present,
        open_runs=len(copy.open_runs),
        versions=count,
        aliases=aliases(target),
        ledger_lines=len(read_ledger(target).lines),
        files=copy.files,
        address=target.store.address,
    )


def _compare(source: Registry, target: Registry) -> None:
    """Check that ledger, versions and aliases are equal, and load each version under an alias from the server."""
    pairs = {
        "ledger": (read_ledger(source), read_ledger(target)),
        "aliases": (aliases(source), aliases(target)),
        "versions": tuple(
            {entry.number: (entry.sha256, entry.state) for entry in versions(registry)} for registry in (source, target)
        ),
    }
    for name, (original, copied) in pairs.items():
        if original != copied:
            raise StoreError(
                f"The {name} of {target.model} on the server differ from those in the file. Did somebody run a "
                "release there in the meantime? The file was not changed."
            )
    for number in sorted(set(aliases(target).values())):
        rows = smoke_test(target, version(target, number))
        logger.info("Version %s loads from the server and predicts %s rows.", number, rows)
