"""The context of every command that changes the registry: id, user, time, and whether it was interrupted.

A command writes its id to a file before it starts and deletes the file when it has succeeded. After a kill, Ctrl-C or a
failing store, running it again finds the file and continues under the same id, so the ledger shows whether the work
was already done.
"""

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atnet.errors import ReleaseError
from atnet.files import STATE
from atnet.registry.ledger import LedgerEvent, entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.lock import this_user
from atnet.registry.transactions import is_abandoned
from atnet.registry.versions import Registry
from atnet.storage import project_root, write_text

INTERRUPTED = STATE / "commands"


@dataclass(frozen=True, slots=True)
class Command:
    """One run of a command, or several if it was interrupted."""

    id: str
    """Id of its event in the ledger."""
    user: str
    now: datetime
    """Time of this run, in UTC."""
    resumed: bool = False
    """Whether an earlier run was interrupted."""

    def event(
        self,
        action: str,
        version: int | None,
        *,
        champion: tuple[int | None, int | None],
        reason: str,
        gate_sha256: str = "",
    ) -> LedgerEvent:
        """Build the ledger event of this command; `champion` is the version before and after."""
        before, after = champion
        return LedgerEvent(
            id=self.id,
            time=self.now.isoformat(timespec="milliseconds"),
            user=self.user,
            action=action,
            version=version,
            champion_before=before,
            champion_after=after,
            reason=reason,
            gate_sha256=gate_sha256,
        )

    def completed_event(self, registry: Registry) -> LedgerEvent | None:
        """Return the event that an interrupted run has already recorded; None if the work is still to be done.

        Raises:
            ReleaseError: if the interrupted run was abandoned.
        """
        event = _last_event(registry) if self.resumed else None
        if event is None or event.id != self.id:
            return None
        if is_abandoned(event):
            raise ReleaseError(
                f"An interrupted run of this command was {event.reason}. See `atnet history`, and run it again "
                "if it is still what you want."
            )
        return event


@contextlib.contextmanager
def command_run(
    registry: Registry, name: str, arguments: Mapping[str, object], *, user: str | None, now: datetime
) -> Iterator[Command]:
    """Run a command that continues under the same id if it was interrupted with the same arguments before."""
    path = project_root(registry.root) / INTERRUPTED / f"{name}.json"
    interrupted = _interrupted_id(registry, path, arguments)
    command = Command(interrupted or uuid.uuid4().hex, user or this_user(), now, resumed=interrupted is not None)
    write_text(path, json.dumps({"id": command.id, "arguments": dict(arguments)}, sort_keys=True) + "\n")
    yield command
    # Not after an error: the store may have failed after the first write.
    path.unlink(missing_ok=True)


def _interrupted_id(registry: Registry, path: Path, arguments: Mapping[str, object]) -> str | None:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        saved_id, same_arguments = str(saved["id"]), saved["arguments"] == dict(arguments)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return saved_id if same_arguments and not _is_closed(registry, saved_id) else None


def _is_closed(registry: Registry, command_id: str) -> bool:
    """Return whether the command's event is in the ledger and a later run with the same arguments is a new command."""
    events = [entry.event for entry in entries(read_ledger(registry))]
    recorded = next((event for event in events if event.id == command_id), None)
    return recorded is not None and (recorded is not events[-1] or is_abandoned(recorded))


def _last_event(registry: Registry) -> LedgerEvent | None:
    events = [entry.event for entry in entries(read_ledger(registry))]
    return events[-1] if events else None
