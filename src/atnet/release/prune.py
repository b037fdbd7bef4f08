"""`atnet prune`: delete old versions from the registry. Runs, files and DVC's cache are not touched."""

from datetime import datetime
from pathlib import Path

from atnet.config import Params
from atnet.registry.lock import registry_lock
from atnet.registry.transactions import AliasTransaction, commit
from atnet.registry.versions import CHAMPION, Registry, Version, aliases, open_registry, versions
from atnet.release.command import command_run
from atnet.release.transitions import PENDING_APPROVAL, recover


def prunable_versions(params: Params, root: Path, *, keep: int | None = None) -> list[Version]:
    """Return the versions that `prune_versions` would delete."""
    return _prunable(open_registry(params.tracking, root), keep or params.release.keep_versions)


def prune_versions(
    params: Params, root: Path, *, keep: int | None = None, user: str | None = None, now: datetime
) -> list[Version]:
    """Delete all but the newest `keep` versions, those under an alias and those that are waiting for approval.

    Returns:
        The deleted versions.
    """
    registry, keep = open_registry(params.tracking, root), keep or params.release.keep_versions
    with (
        command_run(registry, "prune", {"keep": keep}, user=user, now=now) as command,
        registry_lock(registry),
    ):
        recover(registry, now)
        old = _prunable(registry, keep)
        if old:
            champion = aliases(registry).get(CHAMPION)
            deleted = ", ".join(f"{version.number} ({version.sha256[:8]})" for version in old)
            event = command.event("pruned", None, champion=(champion, champion), reason=f"versions {deleted}")
            commit(registry, AliasTransaction(event, deleted=tuple(version.number for version in old)))
    return old


def _prunable(registry: Registry, keep: int) -> list[Version]:
    under_alias = set(aliases(registry).values())
    return [
        version
        for version in versions(registry)[:-keep]
        if version.number not in under_alias and version.state != PENDING_APPROVAL
    ]
