"""The ledger's chain, apart from any store."""

import json
from dataclasses import replace

import pytest

from atnet.errors import DataFileError
from atnet.registry.ledger import (
    WHY_CHARACTERS,
    Entry,
    Event,
    Ledger,
    entries,
    find_faults,
    head_of,
    history_markdown,
    history_table,
    next_entry,
    read_line,
)


def _event(number: int, why: str = "the gate passed") -> Event:
    return Event(
        id=f"id-{number}",
        time=f"2025-03-0{number}T10:00:00.000+00:00",
        who="ana@laptop",
        act="promoted",
        version=number,
        champion_before=number - 1 or None,
        champion_after=number,
        why=why,
        gate="ab" * 32,
    )


def _chain(length: int) -> list[Entry]:
    chain: list[Entry] = []
    for number in range(1, length + 1):
        chain.append(next_entry(chain[-1] if chain else None, _event(number)))
    return chain


def _ledger(chain: list[Entry]) -> Ledger:
    return Ledger({entry.number: entry.line for entry in chain}, head_of(chain[-1]))


def _with_line(ledger: Ledger, number: int, line: str | None) -> Ledger:
    lines = {**ledger.lines, number: line or ""}
    return replace(ledger, lines={key: value for key, value in lines.items() if value})


def test_an_untouched_ledger_has_no_fault() -> None:
    ledger = _ledger(_chain(5))
    assert find_faults(ledger) == []
    assert find_faults(ledger, [ledger.lines[number] for number in range(1, 6)]) == []


def test_an_empty_ledger_has_no_fault() -> None:
    assert find_faults(Ledger({}, None)) == []


def test_a_line_reads_back_as_it_was_written() -> None:
    (entry,) = _chain(1)
    assert read_line(entry.line) == entry


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_changed_line_is_found(number: int) -> None:
    ledger = _ledger(_chain(5))
    changed = ledger.lines[number].replace("ana@laptop", "eve@laptop")
    assert f"line {number} has been changed: it does not match its own hash" in find_faults(
        _with_line(ledger, number, changed)
    )


def test_a_line_that_was_changed_with_its_hash_is_found_by_the_next_one() -> None:
    chain = _chain(3)
    forged = Entry(2, replace(chain[1].event, who="eve@laptop"), chain[1].previous)
    assert find_faults(_with_line(_ledger(chain), 2, forged.line)) == [
        "line 3 does not follow the line before: one was changed, taken out or put in"
    ]


def test_the_last_line_changed_with_its_hash_is_found_by_the_head() -> None:
    chain = _chain(3)
    forged = Entry(3, replace(chain[2].event, who="eve@laptop"), chain[2].previous)
    assert find_faults(_with_line(_ledger(chain), 3, forged.line)) == [
        "line 3 is not the one that the registry names as the last"
    ]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_missing_line_is_found(number: int) -> None:
    assert find_faults(_with_line(_ledger(_chain(5)), number, None)) == [f"line {number} is missing"]


def test_an_added_line_is_found() -> None:
    chain = _chain(3)
    added = next_entry(chain[-1], _event(4))
    assert find_faults(_with_line(_ledger(chain), 4, added.line)) == ["line 4 was added outside of `atnet`"]


def test_a_chain_that_was_written_anew_is_found_by_the_local_copy() -> None:
    honest, forged = _chain(3), []
    for entry in honest:
        forged.append(next_entry(forged[-1] if forged else None, replace(entry.event, who="eve@laptop")))
    assert find_faults(_ledger(forged)) == []
    assert find_faults(_ledger(forged), [entry.line for entry in honest]) == [
        f"line {number} is not what the local copy says" for number in (1, 2, 3)
    ]


def test_lines_taken_off_together_with_the_head_are_found_by_the_local_copy() -> None:
    chain = _chain(3)
    assert find_faults(_ledger(chain[:2]), [entry.line for entry in chain]) == [
        "line 3 is missing: the local copy has it"
    ]


def test_something_that_is_no_line_is_told_and_left_out() -> None:
    ledger = _with_line(_ledger(_chain(3)), 2, "not JSON")
    assert "line 2 is not a line of the ledger" in find_faults(ledger)
    assert [entry.number for entry in entries(ledger)] == [1, 3]
    with pytest.raises(DataFileError):
        read_line(json.dumps({"hash": "x"}))


def test_a_long_reason_fits_a_tag_of_the_store() -> None:
    entry = next_entry(None, _event(1, why="語" * 10_000))
    assert len(entry.event.why) == WHY_CHARACTERS
    assert len(entry.line.encode()) < 8000
    assert read_line(entry.line) == entry


def test_the_table_tells_who_did_what_and_why() -> None:
    table = history_table(_chain(2))
    assert table[0].split()[:3] == ["line", "when", "(UTC)"]
    assert "2025-03-01 10:00:00" in table[1]
    assert "none -> 1" in table[1]
    assert table[2].endswith("the gate passed")
    assert "| 2 | 2025-03-02 10:00:00 | promoted | 2 | 1 -> 2 | ana@laptop |" in history_markdown(_chain(2))
