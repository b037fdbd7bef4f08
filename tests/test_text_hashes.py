"""Sets of text hashes as sorted numbers."""

from pathlib import Path

import numpy as np
import pytest

from atnet import text_hashes
from atnet.errors import DataFileError
from atnet.schema import text_hash
from atnet.text_hashes import TextHashes

NAMES = [text_hash(f"text {number}") for number in range(200)]


def test_a_set_has_each_of_its_names_once_and_no_others() -> None:
    hashes = TextHashes.of([*NAMES[:100], *NAMES[:50], "f" * 16, "0" * 16])
    assert len(hashes) == 102
    assert hashes.contains(["0" * 16, *NAMES, "f" * 16]).tolist() == [True] * 101 + [False] * 100 + [True]
    assert NAMES[0] in hashes
    assert NAMES[100] not in hashes
    assert hashes.values.nbytes == 102 * 8


def test_the_empty_set_has_no_name() -> None:
    empty = TextHashes.of()
    assert len(empty) == len(TextHashes.union([])) == 0
    assert empty.contains(NAMES[:3]).tolist() == [False] * 3
    assert empty.contains([]).tolist() == TextHashes.of(NAMES).contains([]).tolist() == []


def test_unions_and_counts_are_those_of_python_sets() -> None:
    rng = np.random.default_rng(0)
    first, second = (set(rng.choice(NAMES, 80).tolist()) for _ in range(2))
    hashes, others = TextHashes.of(first), TextHashes.of(second)
    assert len(hashes | others) == len(first | second)
    assert (hashes | others).contains(NAMES).tolist() == [name in first | second for name in NAMES]
    assert hashes.count_missing_in(others) == len(first - second)
    assert hashes.count_missing_in(TextHashes.of()) == len(first)


def test_a_file_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_hashes, "READ_AT_ONCE", 7)
    path = tmp_path / "train_hashes.txt"
    path.write_text("".join(f"{name}\n" for name in sorted(NAMES)))
    assert np.array_equal(TextHashes.read(path).values, TextHashes.of(NAMES).values)
    path.write_text("")
    assert len(TextHashes.read(path)) == 0


@pytest.mark.parametrize("line", ["0123456789abcde", "0123456789abcdef0", "0123456789abcdeg", "0123 456789abcdef"])
def test_a_damaged_file_is_an_error_with_the_next_step(line: str, tmp_path: Path) -> None:
    path = tmp_path / "train_hashes.txt"
    path.write_text(f"{NAMES[0]}\n{line}\n")
    with pytest.raises(DataFileError, match=r"train_hashes\.txt is damaged: .* Run `atnet publish`"):
        TextHashes.read(path)
