"""Repeated ids: detected in bounded memory, refused with the first ones named, or numbered."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atnet.config import Params
from atnet.errors import DataContractError
from atnet.scoring import repeated_ids
from atnet.scoring.options import ScoringOptions, text_columns
from atnet.scoring.repeated_ids import HashFiles, check_input
from atnet.scoring.text_batches import stream_texts


def _ids(path: Path, ids: list[str | None]) -> Path:
    pd.DataFrame({"id": ids, "text": "good"}).to_csv(path, index=False)
    return path


@pytest.fixture
def data(params: Params):  # type: ignore[no-untyped-def]
    return text_columns(params.data, ScoringOptions())


def test_repeated_ids_are_refused_and_the_first_ones_named(tmp_path: Path, data) -> None:  # type: ignore[no-untyped-def]
    path = _ids(tmp_path / "in.csv", ["c", "a", "b", "a", "c", "a", "d"])
    with pytest.raises(DataContractError) as refused:
        check_input(path, data, number_duplicates=False)
    assert "2 ids with more than one row: 'c' (rows 1 and 5), 'a' (rows 2 and 4)." in str(refused.value)
    assert "--number-duplicates" in str(refused.value)


def test_repeated_ids_are_numbered_on_request(tmp_path: Path, data) -> None:  # type: ignore[no-untyped-def]
    path = _ids(tmp_path / "in.csv", ["c", "a", "b", "a", "c", "a", "d"])
    facts = check_input(path, data, number_duplicates=True)
    assert facts.rows == 7
    numbered = [name for batch in facts.number_ids(stream_texts(path, data)) for name in batch["id"].to_pylist()]
    assert numbered == ["c", "a", "b", "a#2", "c#2", "a#3", "d"]


def test_ids_are_not_numbered_where_that_could_repeat_another_id(tmp_path: Path, data) -> None:  # type: ignore[no-untyped-def]
    path = _ids(tmp_path / "in.csv", ["a", "a", "a#2"])
    with pytest.raises(DataContractError, match=r"already end in # and a number \(1\)\. .*--number-rows"):
        check_input(path, data, number_duplicates=True)
    assert check_input(_ids(tmp_path / "in.csv", ["a", "a#2"]), data, number_duplicates=True).repeated == {}


def test_a_missing_id_is_named_after_its_row_and_that_can_be_a_repeated_id(tmp_path: Path, data) -> None:  # type: ignore[no-untyped-def]
    assert check_input(_ids(tmp_path / "in.csv", ["a", None, " "]), data, number_duplicates=False).rows == 3
    with pytest.raises(DataContractError, match=r"'row-000002' \(rows 1 and 2\)"):
        check_input(_ids(tmp_path / "in.csv", ["row-000002", None]), data, number_duplicates=False)


def test_too_many_repeated_ids_are_not_numbered(
    tmp_path: Path,
    data,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeated_ids, "MAX_DUPLICATES", 3)
    path = _ids(tmp_path / "in.csv", [f"id{row % 5}" for row in range(10)])
    with pytest.raises(DataContractError, match="these are too many to number"):
        check_input(path, data, number_duplicates=True)


def test_different_ids_with_the_same_hash_are_not_repeated(
    tmp_path: Path,
    data,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeated_ids, "_hash", lambda ids: np.zeros(len(ids), np.uint64))
    assert check_input(_ids(tmp_path / "in.csv", ["a", "b", "c"]), data, number_duplicates=False).repeated == {}


def test_hashes_beyond_the_limit_go_to_files_and_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, 5000, dtype=np.uint64)
    hashes = np.concatenate([hashes, hashes[rng.choice(5000, 40, replace=False)]])
    in_memory, in_files = HashFiles(), HashFiles()
    with in_memory:
        in_memory.add(hashes)
        expected = in_memory.repeated()
    monkeypatch.setattr(repeated_ids, "HELD_HASHES", 100)
    with in_files:
        for part in np.array_split(hashes, 60):
            in_files.add(part)
        assert in_files._folder is not None
        folder = Path(in_files._folder.name)
        assert in_files.repeated().tolist() == expected.tolist()
        assert len(expected) == 40
    assert not folder.exists()
