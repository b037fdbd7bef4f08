"""What every command that changes the registry knows: its id, its user, its time, and whether it was interrupted.

A command writes its id to a file before it starts and deletes the file when it ends. If it is killed, running it again
finds the file and continues under the same id, so the ledger tells whether the work was already done.
"""

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atnet.files import STATE
from atnet.registry.ledger import LedgerEvent, entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.lock import this_user
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
        """Return the event that an interrupted run has already recorded, if nothing has happened since."""
        if not self.resumed:
            return None
        events = [entry.event for entry in entries(read_ledger(registry))]
        return events[-1] if events and events[-1].id == self.id else None


@contextlib.contextmanager
def command_run(
    root: Path, name: str, arguments: Mapping[str, object], *, user: str | None, now: datetime
) -> Iterator[Command]:
    """Run a command that continues under the same id if it was interrupted with the same arguments before."""
    path = project_root(root) / INTERRUPTED / f"{name}.json"
    interrupted = _interrupted_id(path, arguments)
    command = Command(interrupted or uuid.uuid4().hex, user or this_user(), now, resumed=interrupted is not None)
    write_text(path, json.dumps({"id": command.id, "arguments": dict(arguments)}, sort_keys=True) + "\n")
    try:
        yield command
    # An error is an answer; only a kill leaves the file behind.
    finally:
        path.unlink(missing_ok=True)


def _interrupted_id(path: Path, arguments: Mapping[str, object]) -> str | None:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return str(saved["id"]) if saved["arguments"] == dict(arguments) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
