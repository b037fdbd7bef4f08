"""Follow the quotes of a delimited file while it is read, because a quote that is text swallows rows silently.

The CSV parser accepts a cell that opens with a quote and closes many lines later, and drops quotes that are not
doubled. The scanner sees the same bytes as the parser and reports where a quote opens that cannot be read to the
letter, and quoted cells that contain whole records.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

QUOTE, NEWLINE, RETURN, BACKSLASH = b'"\n\r\\'
MAX_SUSPECTS = 100
"""Quoted cells that are examined for whole records, at most."""
MAX_CELL_BYTES = 1 << 24
PIECE_BYTES = 1 << 18

Cells = tuple[np.ndarray, np.ndarray, int | None]
"""Where quoted cells open, where they close, and where a cell opens that does not close."""
Fault = Literal["open", "text after the closing quote", "backslash", "too long", "records"]


@dataclass(frozen=True, slots=True)
class QuoteFault:
    """A quote that cannot be read to the letter."""

    line: int
    """Line of the file in which the quote opens, from 1."""
    fault: Fault


@dataclass(frozen=True, slots=True)
class Suspect:
    """A quoted cell over several lines, each of which has as many separators as a record."""

    line: int
    records: list[list[str]]
    """The lines, split at the separators."""


@dataclass(slots=True)
class QuoteScanner:
    """Scans the bytes of a delimited file chunk by chunk; UTF-8 or any encoding that keeps ASCII bytes.

    After `finish`, the counts and faults describe the whole file.
    """

    separator: bytes
    columns: int
    """Columns of the header."""
    lines: int = 0
    """Lines that are not empty, header included."""
    fault: QuoteFault | None = None
    """The first one."""
    suspects: list[Suspect] = field(default_factory=list)
    closed_cells: bool = False
    """Whether a quoted cell closes on the line it opens on."""
    _tail: bytes = b""
    _tail_line: int = 1
    _finished: bool = False

    @property
    def pending_bytes(self) -> int:
        """Bytes after the last line that is complete and outside quotes."""
        return len(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Scan the next bytes, up to the last line that is complete and outside quotes."""
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            if len(self._tail) > MAX_CELL_BYTES:
                # Quotes in what follows can no longer be assigned to cells.
                self.fault = self.fault or QuoteFault(self._tail_line, "too long")
                return
            self._tail += piece
            if NEWLINE in piece:
                self._scan(final=False)

    def finish(self) -> None:
        """Scan what is left, after the last bytes."""
        if not self._finished:
            self._finished = True
            self._scan(final=True)

    def _scan(self, *, final: bool) -> None:
        data = np.frombuffer(self._tail, dtype=np.uint8)
        newlines = np.flatnonzero(data == NEWLINE)
        # What a quote at the very end means depends on the next byte.
        decided = len(data) if final else len(self._tail.rstrip(b'"'))
        positions = np.flatnonzero(data[:decided] == QUOTE)
        opens, closes, open_at = self._cells(data, positions, final=final)
        if open_at is not None and final:
            self.fault = self.fault or QuoteFault(self._line(newlines, open_at), "open")
        end = len(data) if final else _end_of_records(newlines, opens, closes, open_at)
        inside = closes < end
        self._look_for_records(data, newlines, opens[inside], closes[inside])
        complete = newlines[newlines < end]
        self.lines += _filled_lines(data[:end], complete)
        self._tail_line += len(complete)
        self._tail = self._tail[end:]

    def _cells(self, data: np.ndarray, positions: np.ndarray, *, final: bool) -> Cells:
        if len(positions) == 0:
            return positions, positions, None
        before, after = self._neighbors(data, positions, final=final)
        cells = _regular_cells(positions, before, after)
        return self._irregular_cells(data, positions, before, after) if cells is None else cells

    def _neighbors(self, data: np.ndarray, positions: np.ndarray, *, final: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each quote is at the start of a cell, and whether it is at the end of one."""
        ends_cell = np.zeros(256, dtype=bool)
        ends_cell[[self.separator[0], NEWLINE, RETURN]] = True
        before = np.ones(len(positions), dtype=bool)
        before[positions > 0] = ends_cell[data[positions[positions > 0] - 1]]
        after = np.full(len(positions), final)
        followed = positions < len(data) - 1
        after[followed] = ends_cell[data[positions[followed] + 1]]
        return before, after

    def _irregular_cells(self, data: np.ndarray, positions: np.ndarray, before: np.ndarray, after: np.ndarray) -> Cells:
        """Follow the quotes one by one, as the parser does; report the first that it cannot read to the letter."""
        opens, closes = [], []
        open_at: int | None = None
        places, starts, ends = positions.tolist(), before.tolist(), after.tolist()
        index = 0
        while index < len(places):
            place = places[index]
            if open_at is None:
                open_at = place if starts[index] else None
            elif index + 1 < len(places) and places[index + 1] == place + 1:
                index += 1
            else:
                if not ends[index] and place < len(data) - 1:
                    self._report(data, open_at, place)
                opens.append(open_at)
                closes.append(place)
                open_at = None
            index += 1
        return np.array(opens, dtype=np.int64), np.array(closes, dtype=np.int64), open_at

    def _report(self, data: np.ndarray, open_at: int, place: int) -> None:
        if self.fault is None:
            newlines = np.flatnonzero(data[:open_at] == NEWLINE)
            fault: Fault = "backslash" if data[place - 1] == BACKSLASH else "text after the closing quote"
            self.fault = QuoteFault(self._line(newlines, open_at), fault)

    def _line(self, newlines: np.ndarray, position: int) -> int:
        return self._tail_line + int(np.searchsorted(newlines, position))

    def _look_for_records(self, data: np.ndarray, newlines: np.ndarray, opens: np.ndarray, closes: np.ndarray) -> None:
        first, last = np.searchsorted(newlines, opens), np.searchsorted(newlines, closes)
        self.closed_cells = self.closed_cells or bool((first == last).any())
        several = np.flatnonzero(first != last)
        if len(several) == 0:
            return
        separators = np.flatnonzero(data == self.separator[0])
        # Separators of each line; the last line may have no line break yet.
        counts = np.diff(np.searchsorted(separators, np.append(newlines, len(data))), prepend=0)
        is_record = counts == self.columns - 1
        others = np.append(0, np.cumsum(~is_record))
        for cell in several[others[last[several] + 1] == others[first[several]]]:
            if len(self.suspects) < MAX_SUSPECTS:
                self.suspects.append(self._suspect(data, newlines, int(first[cell]), int(last[cell])))

    def _suspect(self, data: np.ndarray, newlines: np.ndarray, first: int, last: int) -> Suspect:
        start = int(newlines[first - 1]) + 1 if first > 0 else 0
        end = int(newlines[last]) if last < len(newlines) else len(data)
        text = data[start:end].tobytes().decode("utf-8", "replace")
        separator = self.separator.decode()
        records = [[cell.strip('" \r') for cell in line.split(separator)] for line in text.split("\n")]
        return Suspect(self._tail_line + first, records)


def _regular_cells(positions: np.ndarray, before: np.ndarray, after: np.ndarray) -> Cells | None:
    """Return the quoted cells if all quotes follow RFC 4180, or None.

    Quotes in the middle of an unquoted cell are text. Of the others, every second one opens or doubles and the ones
    between close or double: a cell opens at its start, and closes at its end.
    """
    adjacent = np.append(False, np.diff(positions) == 1)
    doubled = adjacent | np.append(adjacent[1:], False)
    text = ~before & ~after & ~doubled
    structural = np.flatnonzero(~text)
    # A quote in the middle of a quoted cell would close it.
    if (np.searchsorted(structural, np.flatnonzero(text)) % 2).any():
        return None
    odd = np.arange(len(structural)) % 2 == 1
    follows, precedes = adjacent[structural], np.append(adjacent[1:], False)[structural]
    opening, closing = before[structural] & ~odd, after[structural] & odd
    # A doubled quote is a closing and an opening one; it is never at the start of a cell.
    opening &= ~follows
    closing &= ~precedes
    if not (opening | (~odd & follows) | closing | (odd & precedes)).all():
        return None
    places = positions[structural]
    opens, closes = places[opening], places[closing]
    if len(opens) == len(closes):
        return opens, closes, None
    return opens[:-1], closes, int(opens[-1])


def _end_of_records(newlines: np.ndarray, opens: np.ndarray, closes: np.ndarray, open_at: int | None) -> int:
    """Return where the last complete record ends: after a line break that is outside quotes."""
    if open_at is not None:
        newlines = newlines[newlines < open_at]
    outside = newlines[np.searchsorted(opens, newlines) == np.searchsorted(closes, newlines)]
    return int(outside[-1]) + 1 if len(outside) else 0


def _filled_lines(data: np.ndarray, newlines: np.ndarray) -> int:
    """Count the lines that are not empty."""
    starts = np.append(0, newlines + 1)
    ends = np.append(newlines, len(data))
    lengths = ends - starts
    only_return = lengths == 1
    only_return[only_return] = data[starts[only_return]] == RETURN
    return int(np.count_nonzero(lengths > 0) - np.count_nonzero(only_return))
