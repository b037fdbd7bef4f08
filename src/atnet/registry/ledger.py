"""The release ledger: a hash chain of lines, each holding the hash of the line before.

Who did what to which version, when and why. A changed, missing or added line breaks the chain, differs from the head
that is stored apart from it, or differs from the local copy.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from atnet.errors import DataFileError
from atnet.formatting import markdown_table, markdown_text

GENESIS_HASH = "0" * 64
"""The previous hash in the first line."""
REASON_CHARACTERS = 1500
"""An MLflow tag can hold 8,000 bytes; a line must fit whatever script the reason is written in."""
COLUMNS = ("line", "when (UTC)", "action", "version", "champion", "user", "reason")


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """What happened."""

    id: str
    """Identifies the command, so that recording it twice gives one line."""
    time: str
    """ISO 8601, in UTC."""
    user: str
    action: str
    """promoted, rejected, pending_approval, rolled_back or pruned."""
    version: int | None
    """The version that the action was about."""
    champion_before: int | None
    champion_after: int | None
    reason: str
    gate_sha256: str
    """SHA-256 of the gate.json it is based on; empty without one."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the ledger."""

    number: int
    event: LedgerEvent
    previous: str
    """Hash of the line before."""

    @property
    def hash(self) -> str:
        """SHA-256 of number, event and the previous hash."""
        return hashlib.sha256(_canonical_json(self._content()).encode("utf-8")).hexdigest()

    @property
    def line(self) -> str:
        """The entry as one line of JSON."""
        return _canonical_json({**self._content(), "hash": self.hash})

    def _content(self) -> dict[str, object]:
        return {"number": self.number, **asdict(self.event), "previous": self.previous}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger as the registry holds it."""

    lines: Mapping[int, str]
    """Number -> line."""
    head: str | None
    """Number and hash of the last line, stored apart from the lines; None before the first."""


def next_entry(last: LedgerEntry | None, event: LedgerEvent) -> LedgerEntry:
    """Build the entry that follows the last one."""
    short = replace(event, reason=event.reason[:REASON_CHARACTERS])
    return LedgerEntry(last.number + 1 if last else 1, short, last.hash if last else GENESIS_HASH)


def head_of(entry: LedgerEntry) -> str:
    """Return the head of a ledger that ends with this entry."""
    return f"{entry.number} {entry.hash}"


def parse_line(line: str) -> LedgerEntry:
    """Parse a line of the ledger.

    Raises:
        DataFileError: if it does not match its own hash.
    """
    try:
        values = json.loads(line)
        stored_hash, number, previous = values.pop("hash"), int(values.pop("number")), values.pop("previous")
        entry = LedgerEntry(number, LedgerEvent(**values), previous)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataFileError("is not a line of the ledger") from None
    if entry.hash != stored_hash:
        raise DataFileError("has been changed: it does not match its own hash")
    return entry


def entries(ledger: Ledger) -> list[LedgerEntry]:
    """Return every line that can be parsed, in order; `find_faults` reports the others."""
    parsed = []
    for _, line in sorted(ledger.lines.items()):
        try:
            parsed.append(parse_line(line))
        except DataFileError:
            continue
    return parsed


def find_faults(ledger: Ledger, local: Sequence[str] = ()) -> list[str]:
    """Describe every line that was changed, is missing or was added.

    Args:
        ledger: as the registry holds it.
        local: the lines of the local copy, oldest first.
    """
    faults = [*_chain_faults(ledger), *_head_faults(ledger)]
    for number, line in enumerate(local, start=1):
        if number not in ledger.lines:
            faults.append(f"line {number} is missing: the local copy has it")
        elif ledger.lines[number] != line:
            faults.append(f"line {number} differs from the local copy")
    return list(dict.fromkeys(faults))


def _chain_faults(ledger: Ledger) -> list[str]:
    faults: list[str] = []
    previous: LedgerEntry | None = None
    for number in range(1, max(ledger.lines, default=0) + 1):
        line = ledger.lines.get(number)
        if line is None:
            faults.append(f"line {number} is missing")
            previous = None
            continue
        try:
            entry = parse_line(line)
        except DataFileError as error:
            faults.append(f"line {number} {error}")
            previous = None
            continue
        checkable = number == 1 or previous is not None
        if entry.number != number or (checkable and entry.previous != (previous.hash if previous else GENESIS_HASH)):
            faults.append(f"line {number} does not follow the line before: a line was changed, removed or inserted")
        previous = entry
    return faults


def _head_faults(ledger: Ledger) -> list[str]:
    last = max(ledger.lines, default=0)
    if ledger.head is None:
        return ["the registry has no head of the ledger although there are lines"] if last else []
    number, _, digest = ledger.head.partition(" ")
    if int(number) > last:
        return [f"line {missing} is missing" for missing in range(last + 1, int(number) + 1)]
    if int(number) < last:
        return [f"line {added} was added outside of `atnet`" for added in range(int(number) + 1, last + 1)]
    try:
        matches = parse_line(ledger.lines[last]).hash == digest
    except DataFileError:
        return []
    return [] if matches else [f"line {last} is not the one that the registry records as the last"]


def history_rows(ledger_entries: Sequence[LedgerEntry]) -> list[tuple[str, ...]]:
    """Return the entries as rows of text under `COLUMNS`, oldest first."""
    return [
        (
            str(entry.number),
            datetime.fromisoformat(entry.event.time).strftime("%Y-%m-%d %H:%M:%S"),
            entry.event.action,
            _version(entry.event.version),
            _champion(entry.event),
            entry.event.user,
            " ".join(entry.event.reason.split()),
        )
        for entry in ledger_entries
    ]


def history_markdown(ledger_entries: Sequence[LedgerEntry]) -> str:
    """Return the ledger as a Markdown table, newest first."""
    return markdown_table(
        COLUMNS, [[markdown_text(cell) for cell in row] for row in reversed(history_rows(ledger_entries))]
    )


def _champion(event: LedgerEvent) -> str:
    if event.champion_before == event.champion_after:
        return _version(event.champion_after)
    return f"{_version(event.champion_before)} -> {_version(event.champion_after)}"


def _version(number: int | None) -> str:
    return "none" if number is None else str(number)


def _canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
