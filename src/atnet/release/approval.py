"""What people decide: approve, reject, take back, clear away."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from atnet.config import Params
from atnet.errors import ReleaseError
from atnet.registry.artifacts import smoke_test
from atnet.registry.ledger import entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.lock import registry_lock
from atnet.registry.transactions import AliasTransaction, commit, event
from atnet.registry.versions import (
    CHAMPION,
    PREVIOUS,
    Registry,
    Version,
    aliases,
    open_registry,
    version,
    versions,
)
from atnet.release.settling import settle
from atnet.release.transitions import AGAINST_TAG, REFUSED, ROLLED_BACK, promotion, rejection, roll_back


def approve(
    params: Params,
    root: Path,
    number: int | None = None,
    *,
    why: str = "",
    who: str | None = None,
    tell: Callable[[str], None] = print,
) -> str:
    """Promote the version that waits for a person.

    Raises:
        ReleaseError: if none waits, or the champion is another than the one it was judged against.
    """
    with _decision(params, root, number, tell) as (registry, chosen):
        champion = aliases(registry).get(CHAMPION)
        if chosen.tags.get(AGAINST_TAG, "") != str(champion or ""):
            raise ReleaseError(
                f"Version {chosen.number} was judged against champion {chosen.tags.get(AGAINST_TAG) or 'none'}, which "
                f"has changed to {champion} since. Reject it, then run `atnet release --again` to judge it anew."
            )
        reason = f"approved by a person{': ' + why if why else ''}"
        gate = chosen.tags.get("gate.sha256", "")
        commit(registry, promotion(registry, chosen.number, reason, who, {}, gate))
    return f"version {chosen.number} is champion{f' instead of version {champion}' if champion else ''}."


def reject(
    params: Params,
    root: Path,
    number: int | None = None,
    *,
    why: str = "",
    who: str | None = None,
    tell: Callable[[str], None] = print,
) -> str:
    """Say no to the version that waits for a person.

    Raises:
        ReleaseError: if none waits.
    """
    with _decision(params, root, number, tell) as (registry, chosen):
        reason = f"rejected by a person{': ' + why if why else ''}"
        commit(registry, rejection(registry, chosen.number, REFUSED, reason, who))
    return f"version {chosen.number} is rejected."


def rollback(
    params: Params,
    root: Path,
    to: int | None = None,
    *,
    why: str = "",
    who: str | None = None,
    tell: Callable[[str], None] = print,
) -> str:
    """Make an earlier champion live again, after seeing that it loads and answers.

    Args:
        to: a version that has been champion; None: the one under the alias `previous`.

    Raises:
        ReleaseError: if there is nothing to go back to.
        ModelError: if that version does not answer; nothing is moved then.
    """
    registry = open_registry(params.tracking, root)
    target = _earlier(registry, to)
    # Before the lock is taken: loading may take a while.
    smoke_test(registry, target)
    with registry_lock(registry):
        settle(registry, tell)
        if _earlier(registry, to).number != target.number:
            raise ReleaseError("The aliases were moved meanwhile, so nothing was taken back. Look at `atnet history`.")
        before = aliases(registry).get(CHAMPION)
        reason = f"rolled back{': ' + why if why else ''}"
        earlier = _champion_before(registry, target.number, but=before)
        commit(registry, roll_back(registry, target.number, previous=earlier, why=reason, who=who))
    return f"version {target.number} is champion again instead of version {before}."


def removable(registry: Registry, keep: int) -> list[Version]:
    """List the versions that clearing away would remove: not among the newest, under no alias, waiting for nobody."""
    held = set(aliases(registry).values())
    old = versions(registry)[:-keep]
    return [one for one in old if one.number not in held and one.state != "waiting"]


def prune(
    params: Params,
    root: Path,
    *,
    keep: int | None = None,
    do: bool = False,
    who: str | None = None,
    tell: Callable[[str], None] = print,
) -> list[Version]:
    """Remove old versions from the registry, or only say which; runs, files and DVC's cache are left alone.

    Returns:
        The versions removed, or those that would be.
    """
    registry = open_registry(params.tracking, root)
    if not do:
        return removable(registry, keep or params.release.keep_versions)
    with registry_lock(registry):
        settle(registry, tell)
        old = removable(registry, keep or params.release.keep_versions)
        if old:
            champion = aliases(registry).get(CHAMPION)
            named = ", ".join(f"{one.number} ({one.sha256[:8]})" for one in old)
            told = event("removed", None, before=champion, after=champion, why=f"versions {named}", who=who)
            commit(registry, AliasTransaction(told, removed=tuple(one.number for one in old)))
    return old


@contextlib.contextmanager
def _decision(
    params: Params, root: Path, number: int | None, tell: Callable[[str], None]
) -> Iterator[tuple[Registry, Version]]:
    """Hold the registry, brought into order, for a decision on the version that waits."""
    registry = open_registry(params.tracking, root)
    with registry_lock(registry):
        settle(registry, tell)
        yield registry, _waiting(registry, number)


def _waiting(registry: Registry, number: int | None) -> Version:
    waiting = [one for one in versions(registry) if one.state == "waiting"]
    if number is not None:
        chosen = version(registry, number)
        if chosen.state == "waiting":
            return chosen
        raise ReleaseError(f"Version {number} does not wait for a person; it is {chosen.state}.")
    if not waiting:
        raise ReleaseError("No version waits for a person. `atnet history` tells what happened last.")
    if len(waiting) > 1:
        named = ", ".join(str(one.number) for one in waiting)
        raise ReleaseError(f"Several versions wait for a person: {named}. Name one.")
    return waiting[0]


def _earlier(registry: Registry, to: int | None) -> Version:
    """Find the version to go back to."""
    held = aliases(registry)
    champion, number = held.get(CHAMPION), to or held.get(PREVIOUS)
    if champion is None:
        raise ReleaseError(f"{registry.model} has no champion yet: there is nothing to take back.")
    if number is None:
        raise ReleaseError(
            f"There is no version before champion {champion}. Name one that has been champion with --to; "
            "`atnet history` lists them."
        )
    if number == champion:
        raise ReleaseError(f"Version {number} is the champion already.")
    target = version(registry, number)
    if target.state not in ("promoted", ROLLED_BACK):
        raise ReleaseError(
            f"Version {number} has never been champion (it is {target.state}); a rollback goes to one that has. "
            "`atnet release` judges a new one."
        )
    return target


def _champion_before(registry: Registry, number: int, *, but: int | None) -> int | None:
    """Say whom the version once took the place of, so that a second rollback goes further back and not forth again."""
    good = {one.number for one in versions(registry) if one.state == "promoted" and one.number not in (number, but)}
    for entry in reversed(entries(read_ledger(registry))):
        happened = entry.event
        if happened.act == "promoted" and happened.version == number and happened.champion_before in good:
            return happened.champion_before
    return None
