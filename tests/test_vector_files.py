"""Word-vector files: every format is read, in a stream, and damaged files are refused with what to do."""

import gzip
import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atnet.errors import DataFileError
from atnet.text.vector_files import open_vectors, vector_dependencies

WORDS = ["good", "bad", "naïve", "...", "New_York"]
VECTORS = np.round(np.random.default_rng(0).normal(size=(len(WORDS), 7)), 4).astype(np.float32)


def text_lines(words: list[str] = WORDS, vectors: np.ndarray = VECTORS) -> str:
    """Return GloVe text."""
    return "".join(f"{word} {' '.join(map(str, row.tolist()))}\n" for word, row in zip(words, vectors, strict=True))


def glove(folder: Path) -> Path:
    """Write GloVe text."""
    path = folder / "glove.txt"
    path.write_text(text_lines(), encoding="utf-8")
    return path


def vec(folder: Path) -> Path:
    """Write word2vec text, with the space that the original tool writes at the end of each line."""
    path = folder / "fasttext.vec"
    path.write_text(f"{len(WORDS)} 7\n" + text_lines().replace("\n", " \n"), encoding="utf-8")
    return path


def binary(folder: Path) -> Path:
    """Write word2vec binary."""
    path = folder / "word2vec.bin"
    records = b"".join(word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(WORDS, VECTORS, strict=True))
    path.write_bytes(f"{len(WORDS)} 7\n".encode() + records)
    return path


def npy(folder: Path) -> Path:
    """Write a NumPy matrix with its vocabulary."""
    path = folder / "matrix.npy"
    np.save(path, VECTORS)
    (folder / "matrix.vocab").write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    return path


def safetensors(folder: Path) -> Path:
    """Write a safetensors file with a JSON vocabulary."""
    path = folder / "matrix.safetensors"
    entry = {"dtype": "F32", "shape": list(VECTORS.shape), "data_offsets": [0, VECTORS.nbytes]}
    header = json.dumps({"__metadata__": {"format": "np"}, "embeddings": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + VECTORS.tobytes())
    (folder / "matrix.json").write_text(json.dumps({word: row for row, word in enumerate(WORDS)}))
    return path


def compressed(write: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Compress what another function writes."""

    def write_compressed(folder: Path) -> Path:
        path = write(folder)
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        return packed

    write_compressed.__name__ = f"{write.__name__}_gz"
    return write_compressed


STREAMED = (glove, vec, binary)
FORMATS = (*STREAMED, *map(compressed, STREAMED), npy, safetensors)


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_every_format_gives_the_same_words_and_vectors(write: Callable[[Path], Path], tmp_path: Path) -> None:
    stream = open_vectors(write(tmp_path))
    stream.check_end()
    words, rows = zip(*((word.decode(), stream.parse(values)) for word, values in stream.records()), strict=True)

    assert list(words) == WORDS
    assert stream.dimensions == 7
    np.testing.assert_array_equal(np.stack(rows), VECTORS)


def test_a_folder_with_a_matrix_and_its_vocabulary_can_be_named(tmp_path: Path) -> None:
    npy(tmp_path)
    assert [word for word, _ in open_vectors(tmp_path).records()] == [word.encode() for word in WORDS]
    assert vector_dependencies(tmp_path) == [tmp_path / "matrix.npy", tmp_path / "matrix.vocab"]


def test_words_that_contain_spaces_and_columns_between_tabs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "spaces.txt"
    path.write_text("the 0.1 0.2 0.3\n. . . 0.4 0.5 0.6\ntabs\t1\t2\t3\n")
    stream = open_vectors(path)
    read = {word: stream.parse(values).tolist() for word, values in stream.records()}

    assert list(read) == [b"the", b". . .", b"tabs"]
    assert read[b"tabs"] == [1, 2, 3]


def test_only_the_vectors_asked_for_take_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("w") as file:
        for number in range(20_000):
            file.write(f"word{number} {' '.join(['0.123456'] * 100)}\n")
    assert path.stat().st_size > 18_000_000
    stream = open_vectors(path)
    tracemalloc.start()
    kept = [stream.parse(values) for number, (_, values) in enumerate(stream.records()) if number % 1000 == 0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(kept) == 20
    assert peak < 1_000_000


def read_all(path: Path) -> None:
    """Read a file to its end."""
    stream = open_vectors(path)
    for _, values in stream.records():
        stream.parse(values)


LINES = text_lines().splitlines(keepends=True)
DAMAGED_TEXT = {
    "a line of another dimension": ("".join([*LINES[:2], "short 1 2 3\n", *LINES[3:]]), r"line 3 has 3 values"),
    "a line with a value too many": ("".join([*LINES[:2], LINES[2].strip() + " 0.5\n"]), r"line 3 has 8 values"),
    "a truncated line": (text_lines()[:-30], r"line 5 has \d values after the word, the lines before it have 7"),
    "a value that is not a number": (
        text_lines().replace(LINES[3].split()[2], "x1"),
        r"line 4: .*x1.* is not a number",
    ),
    "an infinite value": (text_lines().replace(LINES[1].split()[2], "inf"), r"line 2: a value is not a finite number"),
    "fewer lines than the header says": ("9 7\n" + text_lines(), r"has 5 vectors, but its header says 9"),
    "a header of another dimension": ("5 9\n" + text_lines(), r"line 2 has 7 values after the word, but its header"),
    "prose": ("once upon a time\nthere was\n", r"line 1 is not a word and its numbers"),
    "nothing": ("\n \n", r"is empty"),
    "a .dvc file": ("outs:\n- md5: 0\n", r"is a .dvc file"),
}


@pytest.mark.parametrize("case", DAMAGED_TEXT)
def test_a_damaged_text_file_is_refused(case: str, tmp_path: Path) -> None:
    contents, expected = DAMAGED_TEXT[case]
    path = tmp_path / "vectors.txt"
    path.write_text(contents, encoding="utf-8")
    with pytest.raises(DataFileError, match=expected):
        read_all(path)


def test_a_binary_file_of_another_format_named_txt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(DataFileError, match="binary file, but not in word2vec format"):
        open_vectors(path)


def test_a_word2vec_binary_file_is_recognized_whatever_its_name(tmp_path: Path) -> None:
    path = binary(tmp_path).rename(tmp_path / "vectors.txt")
    assert [word for word, _ in open_vectors(path).records()] == [word.encode() for word in WORDS]


def test_a_truncated_binary_file_is_refused_at_the_record_and_by_its_size(tmp_path: Path) -> None:
    path = binary(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataFileError, match=r"ends at word 4, but its header says 5"):
        read_all(path)
    with pytest.raises(DataFileError, match="too short for the 5 words"):
        open_vectors(path).check_end()


def test_a_truncated_text_file_is_seen_at_its_end(tmp_path: Path) -> None:
    path = glove(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataFileError, match="the last line is not a word and 7 numbers"):
        open_vectors(path).check_end()


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    path = compressed(glove)(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataFileError, match="cut short or damaged"):
        read_all(path)


def test_a_vocabulary_of_another_length_is_refused(tmp_path: Path) -> None:
    path = npy(tmp_path)
    (tmp_path / "matrix.vocab").write_text("one\ntwo\n")
    with pytest.raises(DataFileError, match=r"has 5 rows, but its vocabulary has 2 words"):
        open_vectors(path)
    (tmp_path / "matrix.vocab").unlink()
    with pytest.raises(DataFileError, match=r"needs its vocabulary next to it.* matrix.vocab, matrix.txt"):
        open_vectors(path)


def test_a_matrix_that_is_none_is_refused(tmp_path: Path) -> None:
    path = npy(tmp_path)
    np.save(path, np.zeros(5))
    with pytest.raises(DataFileError, match="a matrix of numbers with one row per word"):
        open_vectors(path)
    path.write_bytes(b"not numpy")
    with pytest.raises(DataFileError, match="not a NumPy file"):
        open_vectors(path)
    (tmp_path / "matrix.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    with pytest.raises(DataFileError, match="it has 0 matrices"):
        open_vectors(tmp_path / "matrix.safetensors")


def test_a_missing_file_and_a_fasttext_model_are_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"no.txt is missing. Put your word vectors there"):
        open_vectors(tmp_path / "no.txt")
    (tmp_path / "no.txt.dvc").touch()
    with pytest.raises(DataFileError, match=r"dvc pull"):
        open_vectors(tmp_path / "no.txt")
    (tmp_path / "cc.pt.bin").write_bytes(b"\xba\x16\x4f\x2f" + b"\x00" * 100)
    with pytest.raises(DataFileError, match=r"a fastText model, not its vectors. Use the `.vec` file"):
        open_vectors(tmp_path / "cc.pt.bin")
