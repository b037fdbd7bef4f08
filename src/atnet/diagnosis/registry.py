"""Checks of the registry: every alias points at a version that loads, and the ledger is complete."""

from collections.abc import Iterator
from pathlib import Path

from atnet.config import TrackingConfig
from atnet.diagnosis.finding import Finding
from atnet.errors import AtnetError
from atnet.registry.artifacts import smoke_test
from atnet.registry.ledger import find_faults
from atnet.registry.ledger_store import local_lines, read_ledger
from atnet.registry.versions import Registry, aliases, is_registered, open_registry, version


def check_registry(root: Path, tracking: TrackingConfig) -> Iterator[Finding]:
    """Load every version that an alias points at, and compare the ledger with its hashes and the local copy."""
    try:
        registry = open_registry(tracking, root)
        if not is_registered(registry):
            yield Finding("registry", "note", "no version is registered yet. Run `atnet release`.")
            return
        current = sorted(aliases(registry).items())
        faults = find_faults(read_ledger(registry), local_lines(registry))
    except AtnetError as error:
        yield Finding("registry", "fault", str(error))
        return
    yield from (_alias(registry, alias, number) for alias, number in current)
    if faults:
        yield Finding("ledger", "fault", f"{'; '.join(faults)}. `atnet history` shows it; restore a backup if needed.")
    else:
        yield Finding("ledger", "ok", "every line has the hash of the line before it")


def _alias(registry: Registry, alias: str, number: int) -> Finding:
    try:
        smoke_test(registry, version(registry, number))
    except AtnetError as error:
        return Finding(alias, "fault", f"{error} Run `atnet rollback`, or `atnet publish` to upload the model again.")
    return Finding(alias, "ok", f"version {number} loads and predicts")
