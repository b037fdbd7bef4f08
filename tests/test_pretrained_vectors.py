"""Pretrained word vectors: which are kept, how the vocabulary grows, and what words without one get."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet import files
from atnet.config import Params, TokenizeConfig, VectorsConfig
from atnet.errors import ConfigurationError, DataContractError
from atnet.inference import UNKNOWN_ID
from atnet.network.training_inputs import vocabulary
from atnet.stages.tokenize import main as tokenize
from atnet.stages.vectors import main as vectors
from atnet.storage import read_array, read_json, write_table
from atnet.text.encoded_split import EncodedSplit
from atnet.text.pretrained import WidenedTokenizer, widen_tokenizer
from atnet.text.tokenization import fit_tokenizer
from atnet.text.vector_files import open_vectors
from atnet.text.word_splitting import count_words
from atnet.text.word_vectors import complete_vectors
from tests.encoded import split_of_texts
from tests.settings import LABELED, params_file, params_with

TEXTS = ["good film good plot", "bad film", "good day café", "rareword US"]


def write_vectors_file(path: Path, words: dict[str, list[float]]) -> Path:
    """Write GloVe text."""
    lines = [f"{word} {' '.join(map(str, values))}\n" for word, values in words.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def widened(path: Path, tokenize: TokenizeConfig, vectors: VectorsConfig, **changes: Any) -> WidenedTokenizer:
    """Fit a tokenizer on TEXTS and widen it."""
    tokenizer = fit_tokenizer(TEXTS, tokenize)
    counts = count_words(TEXTS, tokenizer.normalizer, tokenizer.pre_tokenizer)
    return widen_tokenizer(tokenizer, counts, open_vectors(path), vectors.model_copy(update=changes))


FILE = {
    "film": [1.0, 0, 0],
    "good": [0, 1.0, 0],
    "unseen": [0, 0, 1.0],
    "two_words": [9, 9, 9],
    "later": [5, 5, 5],
    "café": [2.0, 2, 2],
}


def test_words_of_the_file_join_the_vocabulary_and_keep_their_vectors(tmp_path: Path, params: Params) -> None:
    path = write_vectors_file(tmp_path / "v.txt", FILE)
    result = widened(path, params.tokenize, params.vectors, pretrained_words=4)
    words = vocabulary(result.tokenizer)

    # Known or frequent words first, then those of the file, then the rare ones, which have no row.
    assert words[2:5] == ["good", "film", "café"]
    assert words[5] == "unseen"
    assert set(words[6:]) == {"bad", "plot", "day", "rareword", "us"}
    assert result.vectors_VD.shape == (6, 3)
    assert result.vectors_VD[5].tolist() == [0, 0, 1]
    assert np.isnan(result.vectors_VD[:2]).all()
    assert result.report["added_words"] == 1, "two_words is never one token of a text, later is not among the first 4"
    assert result.tokenizer.encode("an unseen film").ids == [UNKNOWN_ID, 5, 3]


def test_frequent_words_without_a_vector_get_a_row_to_be_filled(tmp_path: Path, params: Params) -> None:
    path = write_vectors_file(tmp_path / "v.txt", {"bad": [1.0, 1, 1]})
    result = widened(path, params.tokenize, params.vectors)
    words = vocabulary(result.tokenizer)

    assert words[2:5] == ["good", "film", "bad"]
    assert np.isnan(result.vectors_VD[2:4]).all()
    assert result.vectors_VD[4].tolist() == [1, 1, 1]


def test_case_is_folded_as_the_tokenizer_does_and_the_exact_form_wins(tmp_path: Path, params: Params) -> None:
    path = write_vectors_file(tmp_path / "v.txt", {"Good": [1.0, 0, 0], "US": [0, 1.0, 0], "us": [0, 0, 1.0]})
    result = widened(path, params.tokenize, params.vectors)
    ids = result.tokenizer.get_vocab()
    assert result.vectors_VD[ids["good"]].tolist() == [1, 0, 0]
    assert result.vectors_VD[ids["us"]].tolist() == [0, 0, 1]

    cased = params.tokenize.model_copy(update={"lowercase": False})
    path = write_vectors_file(tmp_path / "lower.txt", {"us": [0, 0, 1.0], "good": [1.0, 0, 0]})
    result = widened(path, cased, params.vectors)
    assert result.vectors_VD[result.tokenizer.get_vocab()["US"]].tolist() == [0, 0, 1]


def test_accents_are_folded_as_the_tokenizer_does(tmp_path: Path, params: Params) -> None:
    path = write_vectors_file(tmp_path / "v.txt", {"café": [1.0, 2, 3]})
    stripped = params.tokenize.model_copy(update={"strip_accents": True})
    result = widened(path, stripped, params.vectors)
    assert result.vectors_VD[result.tokenizer.get_vocab()["cafe"]].tolist() == [1, 2, 3]


def test_a_file_of_another_language_is_refused(tmp_path: Path, params: Params) -> None:
    path = write_vectors_file(tmp_path / "v.txt", {"palavra": [1.0, 2, 3]})
    with pytest.raises(DataContractError, match=r"none of the 8 words .* such as 'good'.* language or case"):
        widened(path, params.tokenize, params.vectors)


def test_words_without_a_vector_get_one_like_words_of_the_same_contexts(params: Params) -> None:
    rng = np.random.default_rng(0)
    # 2 and 3 occur among 10 to 19, 4 and 5 among 20 to 29.
    texts = [
        [int(rng.choice([2, 3] if low == 10 else [4, 5])), *rng.integers(low, low + 10, size=4).tolist()]
        for low in rng.choice([10, 20], size=600)
    ]
    split = split_of_texts(texts, [0] * len(texts))
    centers = {10: [1.0, 0, 0, 0], 20: [0, 1.0, 0, 0]}
    pretrained = np.full((31, 4), np.nan, np.float32)
    for low, center in centers.items():
        pretrained[low : low + 10] = center + 0.1 * rng.normal(size=(10, 4))
    pretrained[2], pretrained[4] = centers[10], centers[20]
    completed = complete_vectors(pretrained, split, params.vectors)
    unit = completed / np.maximum(np.linalg.norm(completed, axis=1, keepdims=True), 1e-9)

    assert unit[3] @ unit[2] > 0.9 > 0.5 > unit[3] @ unit[4]
    assert unit[5] @ unit[4] > 0.9 > 0.5 > unit[5] @ unit[2]
    assert not completed[[0, 30]].any(), "padding and a token that never occurs"
    assert completed[completed.any(axis=1)].std() == pytest.approx(params.vectors.init_std, rel=1e-4)
    ratio = completed[10:30] / pretrained[10:30]
    assert ratio == pytest.approx(np.full_like(ratio, ratio[0, 0]), rel=1e-4), "known vectors are only scaled"


def test_unlabeled_texts_change_the_vectors_of_words_that_the_file_lacks(params: Params) -> None:
    train = split_of_texts([[2, 3], [4, 5]], [0, 0])
    pretrained = np.full((6, 2), np.nan, np.float32)
    pretrained[[2, 4, 5]] = [[1, 0], [0, 1], [0.5, 0.5]]
    alone = complete_vectors(pretrained, train, params.vectors)
    more = complete_vectors(pretrained, train, params.vectors, unlabeled=[split_of_texts([[3, 4]] * 5, [0] * 5)])
    assert not np.allclose(alone[3], more[3])


def split_table(texts: list[str]) -> pd.DataFrame:
    """Build a split as stage `split` writes it."""
    return pd.DataFrame(
        {
            "id": [f"{index}" for index in range(len(texts))],
            "text": texts,
            "label": ["x", "y"] * (len(texts) // 2),
            "group": "g",
            "text_hash": [f"{index:016x}" for index in range(len(texts))],
        }
    )


HELD_OUT = "a sentence of nine words is in the test split"


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prepare a folder with splits and vectors, and change to it."""
    monkeypatch.chdir(tmp_path)
    for name, texts in (("train", TEXTS), ("validation", ["good", "bad unseen"]), ("test", [HELD_OUT, "film"])):
        write_table(tmp_path / files.split_table(name), split_table(texts))
    write_vectors_file(tmp_path / "v.txt", FILE)
    params_file(tmp_path, LABELED, {"vectors": {"pretrained": "v.txt"}})
    return tmp_path


def test_the_stages_use_the_files_dimension_and_say_so(
    project_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokenize([]) == 0
    assert vectors([]) == 0
    printed = capsys.readouterr().out

    assert "vectors of 3 values for 3 words of train" in printed
    assert "train.embedding_dimensions, 100, is not used" in printed
    fitted = read_array(project_folder / files.WORD_VECTORS)
    assert fitted.shape == (len(read_array(project_folder / files.PRETRAINED_VECTORS)), 3)
    assert read_json(project_folder / files.TOKENIZE_REPORT)["pretrained"]["known_words"] == 3
    test = EncodedSplit.load(project_folder / files.encoded_split("validation"))
    assert UNKNOWN_ID not in test.tokens.tolist(), "`unseen` is known from the file alone"


def test_without_a_file_the_stage_writes_an_empty_array_and_no_word_of_it(project_folder: Path) -> None:
    params_file(project_folder, LABELED)
    assert tokenize([]) == 0
    assert read_array(project_folder / files.PRETRAINED_VECTORS).shape == (0, 0)
    assert "pretrained" not in read_json(project_folder / files.TOKENIZE_REPORT)


def test_a_damaged_file_fails_the_stage_with_one_message(
    project_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("v.txt").write_text("good 1 2 3\nfilm 1 2\n")
    assert tokenize([]) == 1
    printed = capsys.readouterr().err
    assert "v.txt, line 2 has 2 values after the word" in printed
    assert "Traceback" not in printed


def test_unlabeled_texts_are_counted_without_those_of_validation_and_test(
    project_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["bad plot", HELD_OUT.upper(), f"{HELD_OUT} here", "good", "a new text", ""]
    pd.DataFrame({"text": texts}).to_csv("more.csv.gz", index=False)
    change = {
        "vectors": {"pretrained": "v.txt", "unlabeled": "more.csv.gz"},
        "split": {"near_duplicate_similarity": 0.6},
    }
    params_file(project_folder, LABELED, change)
    assert tokenize([]) == 0
    assert vectors([]) == 0
    assert "5 unlabeled texts counted too, 3 of them excluded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"vectors": {"pretrained": None}}, "vectors.pretrained: write a path, or data/none for no file"),
        ({"vectors": {"unlabeled": ""}}, "vectors.unlabeled: write a path, or data/none for no file"),
        ({"vectors": {"pretrained": "v.txt"}, "tokenize": {"kind": "bpe"}}, "set tokenize.kind to word"),
        ({"vectors": {"pretrained": "v.txt"}, "train": {"attention": "published"}}, "would not be used"),
        ({"vectors": {"pretrained": "v.txt"}, "train": {"initialize_from_vectors": False}}, "would not be used"),
        ({"train": {"embedding": "static", "initialize_from_vectors": False}}, "static needs word vectors"),
        ({"vectors": {"pretrained": "v.txt", "pretrained_words": 900_001}}, "less than or equal to 900000"),
        (
            {"vectors": {"pretrained": "v.txt", "pretrained_words": 900_000}, "tokenize": {"vocabulary_size": 200_000}},
            "add up to more than 1,000,000 words",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change: dict[str, dict[str, Any]], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        params_with(change)
