"""`atnet rollback`: make an earlier champion live again."""

from datetime import datetime
from pathlib import Path

from atnet.config import Params
from atnet.errors import ReleaseError
from atnet.registry.artifacts import smoke_test
from atnet.registry.ledger import LedgerEvent, entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.lock import registry_lock
from atnet.registry.transactions import commit
from atnet.registry.versions import CHAMPION, PREVIOUS, Registry, Version, aliases, open_registry, version, versions
from atnet.release.approval import UserDecision
from atnet.release.command import command_run
from atnet.release.transitions import PROMOTED, ROLLED_BACK, recover, roll_back


def roll_back_champion(params: Params, root: Path, decision: UserDecision, *, now: datetime) -> str:
    """Make an earlier champion live again, after checking that it loads and predicts, and return a message.

    Args:
        params: of the project.
        root: the project folder.
        decision: its version is one that has been champion; None: the one under the alias `previous`.
        now: for the ledger.

    Raises:
        ReleaseError: if there is no version to go back to.
        ModelError: if that version does not load and predict; no alias moves then.
    """
    registry = open_registry(params.tracking, root)
    arguments = {"version": decision.version, "reason": decision.reason}
    with command_run(registry, "rollback", arguments, user=decision.user, now=now) as command:
        # First finish what a kill interrupted: it may have been this very rollback.
        with registry_lock(registry):
            finished = recover(registry, now)
            completed = command.completed_event(registry) or _same_rollback(finished, decision.version)
        if completed is not None:
            return _message(completed.champion_after, completed.champion_before)
        target = _find_target(registry, decision.version)
        # Before the lock is taken: loading may take a while.
        smoke_test(registry, target)
        with registry_lock(registry):
            recover(registry, now)
            if _find_target(registry, decision.version).number != target.number:
                raise ReleaseError("The aliases moved meanwhile, so nothing was rolled back. See `atnet history`.")
            champion = aliases(registry).get(CHAMPION)
            reason = f"rolled back: {decision.reason}" if decision.reason else "rolled back"
            previous = _champion_before(registry, target.number, exclude=champion)
            commit(registry, roll_back(registry, target.number, command, previous=previous, reason=reason))
    return _message(target.number, champion)


def _same_rollback(finished: LedgerEvent | None, requested: int | None) -> LedgerEvent | None:
    """Return the interrupted rollback that was just finished, perhaps of another project folder, if it is this one."""
    if finished is None or finished.action != ROLLED_BACK:
        return None
    return finished if requested in (None, finished.champion_after) else None


def _message(target: int | None, champion: int | None) -> str:
    return f"version {target} is champion again, replacing version {champion}."


def _find_target(registry: Registry, requested: int | None) -> Version:
    current = aliases(registry)
    champion, number = current.get(CHAMPION), requested or current.get(PREVIOUS)
    if champion is None:
        raise ReleaseError(f"{registry.model} has no champion yet: there is nothing to roll back.")
    if number is None:
        raise ReleaseError(
            f"There is no version before champion {champion}. Choose one that has been champion with --to; "
            "`atnet history` lists them."
        )
    if number == champion:
        raise ReleaseError(f"Version {number} is already the champion.")
    target = version(registry, number)
    if target.state not in (PROMOTED, ROLLED_BACK):
        raise ReleaseError(
            f"Version {number} has never been champion (it is {target.state}); a rollback needs one that has. "
            "`atnet release` evaluates a new version."
        )
    return target


def _champion_before(registry: Registry, number: int, *, exclude: int | None) -> int | None:
    """Return the champion that the version once replaced, so that a second rollback goes further back."""
    candidates = {
        candidate.number
        for candidate in versions(registry)
        if candidate.state == PROMOTED and candidate.number not in (number, exclude)
    }
    for entry in reversed(entries(read_ledger(registry))):
        event = entry.event
        if event.action == PROMOTED and event.version == number and event.champion_before in candidates:
            return event.champion_before
    return None
