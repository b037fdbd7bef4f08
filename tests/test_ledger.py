"""The ledger's hash chain, without a store."""

import json
from dataclasses import replace

import pytest

from atnet.errors import DataFileError
from atnet.registry.ledger import (
    COLUMNS,
    REASON_CHARACTERS,
    Ledger,
    LedgerEntry,
    LedgerEvent,
    entries,
    find_faults,
    head_of,
    history_markdown,
    history_rows,
    next_entry,
    parse_line,
)


def _event(number: int, reason: str = "the gate passed") -> LedgerEvent:
    return LedgerEvent(
        id=f"id-{number}",
        time=f"2025-03-0{number}T10:00:00.000+00:00",
        user="ana@laptop",
        action="promoted",
        version=number,
        champion_before=number - 1 or None,
        champion_after=number,
        reason=reason,
        gate_sha256="ab" * 32,
    )


def _chain(length: int) -> list[LedgerEntry]:
    chain: list[LedgerEntry] = []
    for number in range(1, length + 1):
        chain.append(next_entry(chain[-1] if chain else None, _event(number)))
    return chain


def _ledger(chain: list[LedgerEntry]) -> Ledger:
    return Ledger({entry.number: entry.line for entry in chain}, head_of(chain[-1]))


def _with_line(ledger: Ledger, number: int, line: str | None) -> Ledger:
    lines = {**ledger.lines, number: line or ""}
    return replace(ledger, lines={key: value for key, value in lines.items() if value})


def test_an_unchanged_ledger_has_no_faults() -> None:
    ledger = _ledger(_chain(5))
    assert find_faults(ledger) == []
    assert find_faults(ledger, [ledger.lines[number] for number in range(1, 6)]) == []


def test_an_empty_ledger_has_no_faults() -> None:
    assert find_faults(Ledger({}, None)) == []


def test_a_line_is_parsed_as_it_was_written() -> None:
    (entry,) = _chain(1)
    assert parse_line(entry.line) == entry


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_changed_line_is_found(number: int) -> None:
    ledger = _ledger(_chain(5))
    changed = ledger.lines[number].replace("ana@laptop", "eve@laptop")
    assert f"line {number} has been changed: it does not match its own hash" in find_faults(
        _with_line(ledger, number, changed)
    )


def test_a_line_that_was_changed_with_its_hash_is_found_by_the_next_line() -> None:
    chain = _chain(3)
    forged = LedgerEntry(2, replace(chain[1].event, user="eve@laptop"), chain[1].previous)
    assert find_faults(_with_line(_ledger(chain), 2, forged.line)) == [
        "line 3 does not follow the line before: a line was changed, removed or inserted"
    ]


def test_the_last_line_changed_with_its_hash_is_found_by_the_head() -> None:
    chain = _chain(3)
    forged = LedgerEntry(3, replace(chain[2].event, user="eve@laptop"), chain[2].previous)
    assert find_faults(_with_line(_ledger(chain), 3, forged.line)) == [
        "line 3 is not the one that the registry records as the last"
    ]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_missing_line_is_found(number: int) -> None:
    assert find_faults(_with_line(_ledger(_chain(5)), number, None)) == [f"line {number} is missing"]


def test_an_added_line_is_found() -> None:
    chain = _chain(3)
    added = next_entry(chain[-1], _event(4))
    assert find_faults(_with_line(_ledger(chain), 4, added.line)) == ["line 4 was added outside of `atnet`"]


def test_a_rewritten_chain_is_found_by_the_local_copy() -> None:
    original = _chain(3)
    forged: list[LedgerEntry] = []
    for entry in original:
        forged.append(next_entry(forged[-1] if forged else None, replace(entry.event, user="eve@laptop")))
    assert find_faults(_ledger(forged)) == []
    assert find_faults(_ledger(forged), [entry.line for entry in original]) == [
        f"line {number} differs from the local copy" for number in (1, 2, 3)
    ]


def test_lines_removed_together_with_the_head_are_found_by_the_local_copy() -> None:
    chain = _chain(3)
    assert find_faults(_ledger(chain[:2]), [entry.line for entry in chain]) == [
        "line 3 is missing: the local copy has it"
    ]


def test_text_that_is_not_a_line_is_reported_and_skipped() -> None:
    ledger = _with_line(_ledger(_chain(3)), 2, "not JSON")
    assert "line 2 is not a line of the ledger" in find_faults(ledger)
    assert [entry.number for entry in entries(ledger)] == [1, 3]
    with pytest.raises(DataFileError):
        parse_line(json.dumps({"hash": "x"}))


def test_a_long_reason_is_shortened_to_what_a_tag_holds() -> None:
    entry = next_entry(None, _event(1, reason="語" * 10_000))
    assert len(entry.event.reason) == REASON_CHARACTERS
    assert len(entry.line.encode()) < 8000
    assert parse_line(entry.line) == entry


def test_the_table_shows_who_did_what_and_why() -> None:
    assert COLUMNS[:2] == ("line", "when (UTC)")
    first, second = history_rows(_chain(2))
    assert "2025-03-01 10:00:00" in first
    assert "none -> 1" in first
    assert second[-1] == "the gate passed"
    assert "| 2 | 2025-03-02 10:00:00 | promoted | 2 | 1 -&gt; 2 | ana@laptop |" in history_markdown(_chain(2))
