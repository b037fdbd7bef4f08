"""The ledger of releases: a chain of lines, each holding the hash of the one before.

Who did what to which version, when and why. A changed, missing or added line breaks the chain, the head that is kept
apart from it, or the likeness of the shared ledger and the local copy.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from atnet.errors import DataFileError

START = "0" * 64
"""What the first line holds in place of a hash."""
WHY_CHARACTERS = 1500
"""An MLflow tag holds 8,000 bytes; a line must fit whatever script the reason is written in."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened."""

    id: str
    """Names the act, so that writing it twice gives one line."""
    time: str
    """ISO 8601, in UTC."""
    who: str
    act: str
    """promoted, rejected, waiting, rolled back or removed."""
    version: int | None
    """The version the act was about."""
    champion_before: int | None
    champion_after: int | None
    why: str
    gate: str
    """SHA-256 of the gate.json it rests on; empty without one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    number: int
    event: Event
    previous: str
    """Hash of the line before."""

    @property
    def hash(self) -> str:
        """SHA-256 of number, event and the hash before."""
        return hashlib.sha256(_canonical(self._content()).encode("utf-8")).hexdigest()

    @property
    def line(self) -> str:
        """The entry as one line of JSON."""
        return _canonical({**self._content(), "hash": self.hash})

    def _content(self) -> dict[str, object]:
        return {"number": self.number, **asdict(self.event), "previous": self.previous}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger as it stands in the registry."""

    lines: Mapping[int, str]
    """Number -> line."""
    head: str | None
    """Number and hash of the last line, kept apart from the lines; None before the first."""


def next_entry(last: Entry | None, event: Event) -> Entry:
    """Put an event after the last entry."""
    short = Event(**{**asdict(event), "why": event.why[:WHY_CHARACTERS]})
    return Entry(last.number + 1 if last else 1, short, last.hash if last else START)


def head_of(entry: Entry) -> str:
    """Name the end of the chain."""
    return f"{entry.number} {entry.hash}"


def read_line(line: str) -> Entry:
    """Read a line.

    Raises:
        DataFileError: if it is not what its own hash says.
    """
    try:
        values = json.loads(line)
        said, number, previous = values.pop("hash"), int(values.pop("number")), values.pop("previous")
        entry = Entry(number, Event(**values), previous)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataFileError("is not a line of the ledger") from None
    if entry.hash != said:
        raise DataFileError("has been changed: it does not match its own hash")
    return entry


def entries(ledger: Ledger) -> list[Entry]:
    """Read all lines that can be read, in order; `find_faults` names the others."""
    found = []
    for _, line in sorted(ledger.lines.items()):
        try:
            found.append(read_line(line))
        except DataFileError:
            continue
    return found


def find_faults(ledger: Ledger, local: Sequence[str] = ()) -> list[str]:
    """Name every line that was changed, is missing or was added.

    Args:
        ledger: as the registry has it.
        local: the lines of the local copy, oldest first.
    """
    faults = [*_chain_faults(ledger), *_head_faults(ledger)]
    for number, line in enumerate(local, start=1):
        if number not in ledger.lines:
            faults.append(f"line {number} is missing: the local copy has it")
        elif ledger.lines[number] != line:
            faults.append(f"line {number} is not what the local copy says")
    return list(dict.fromkeys(faults))


def _chain_faults(ledger: Ledger) -> list[str]:
    faults: list[str] = []
    before: Entry | None = None
    for number in range(1, max(ledger.lines, default=0) + 1):
        line = ledger.lines.get(number)
        if line is None:
            faults.append(f"line {number} is missing")
            before = None
            continue
        try:
            entry = read_line(line)
        except DataFileError as error:
            faults.append(f"line {number} {error}")
            before = None
            continue
        follows = number == 1 or before is not None
        if entry.number != number or (follows and entry.previous != (before.hash if before else START)):
            faults.append(f"line {number} does not follow the line before: one was changed, taken out or put in")
        before = entry
    return faults


def _head_faults(ledger: Ledger) -> list[str]:
    last = max(ledger.lines, default=0)
    if ledger.head is None:
        return ["the registry names no end of the ledger though there are lines"] if last else []
    number, _, digest = ledger.head.partition(" ")
    if int(number) > last:
        return [f"line {missing} is missing" for missing in range(last + 1, int(number) + 1)]
    if int(number) < last:
        return [f"line {added} was added outside of `atnet`" for added in range(int(number) + 1, last + 1)]
    try:
        right = read_line(ledger.lines[last]).hash == digest
    except DataFileError:
        return []
    return [] if right else [f"line {last} is not the one that the registry names as the last"]


def history_table(found: Sequence[Entry]) -> list[str]:
    """Write the ledger for a terminal, oldest first."""
    rows = [("line", "when (UTC)", "act", "version", "champion", "who", "why")]
    rows += [
        (
            str(entry.number),
            datetime.fromisoformat(entry.event.time).strftime("%Y-%m-%d %H:%M:%S"),
            entry.event.act,
            _number(entry.event.version),
            _champion(entry.event),
            entry.event.who,
            " ".join(entry.event.why.split()),
        )
        for entry in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row[:6], widths, strict=True)) + f"  {row[6]}"
        for row in rows
    ]


def history_markdown(found: Sequence[Entry]) -> str:
    """Write the ledger as a Markdown table, newest first."""
    lines = ["| line | when (UTC) | act | version | champion | who | why |", "|---|---|---|---|---|---|---|"]
    for entry in reversed(found):
        event = entry.event
        why = " ".join(event.why.replace("|", "\\|").split())
        lines.append(
            f"| {entry.number} | {event.time[:19].replace('T', ' ')} | {event.act} | {_number(event.version)} "
            f"| {_champion(event)} | {event.who} | {why} |"
        )
    return "\n".join(lines)


def _champion(event: Event) -> str:
    if event.champion_before == event.champion_after:
        return _number(event.champion_after)
    return f"{_number(event.champion_before)} -> {_number(event.champion_after)}"


def _number(version: int | None) -> str:
    return "none" if version is None else str(version)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
