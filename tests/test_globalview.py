"""What a model goes by over many texts: words and pairs, attention, the map of word vectors."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.config import Params
from atnet.errors import DataFileError
from atnet.network.model import add_wide_branch, build_model
from atnet.report.explanations.attended_words import attended_words, map_words
from atnet.report.explanations.global_explanation import global_view
from atnet.report.explanations.learned_weights import LearnedWeights
from atnet.report.explanations.ngram_contributions import count_ngrams, enough_texts
from atnet.report.word_map import map_figure
from atnet.text.ngrams import NGRAM_BASE
from atnet.wide.branch import WideBranch
from tests.widemodel import wide_predictor, wide_tables

DEEP = {"good": [-0.5, 0.5], "bad": [0.5, -0.5], "film": [0.0, 0.0]}
WIDE = {"good": [-1.0, 1.0], "bad": [0.6, -0.6], "film": [0.0, 0.0]}
NOTHING = {"good": [0.0, 0.0], "film": [0.0, 0.0]}
LEARNT = LearnedWeights(None, wide_tables(WIDE))
TEXTS = ["good film", "good film", "good", "bad film", "bad bad", "a bad film", "rare"]
VOCABULARY, SLOTS = 30, 64


def branch(rng: np.random.Generator, texts: list[list[int]], columns: int) -> WideBranch:
    """Make a wide branch by chance that knows most of the texts' pairs."""
    numbers = np.full(SLOTS, -1, np.int64)
    known = np.array([first * NGRAM_BASE + second for text in texts for first, second in pairwise(text)])
    numbers[known % SLOTS] = known
    words, spelling = rng.normal(size=(2, VOCABULARY, columns))
    letters, pairs = rng.integers(0, 30, size=VOCABULARY), rng.normal(size=(SLOTS, columns))
    return WideBranch(words, pairs, numbers, spelling, letters, rng.normal(size=columns))


@pytest.mark.parametrize("classes", [2, 4])
def test_what_is_told_of_words_and_pairs_adds_up_to_what_the_wide_branch_says(
    classes: int, params: Params, tmp_path: Path
) -> None:
    rng = np.random.default_rng(classes)
    ids = [rng.integers(1, VOCABULARY, size=size).tolist() for size in (1, 2, 3, 8, 20)]
    ids += [[5, 6, 5, 6, 5, 6], [7, 7, 7]]
    wide = branch(rng, ids[:-2], 1 if classes == 2 else classes)
    network = add_wide_branch(build_model(params.train, vocabulary_size=9, classes=classes), wide, (0.7, 1.3))
    network.save_weights(tmp_path / "model.weights.h5")
    learned = LearnedWeights.load(tmp_path / "model.weights.h5")
    assert learned.wide is not None
    found = count_ngrams(learned.wide, ids)
    padded = np.array([one + [0] * (20 - len(one)) for one in ids], np.int32)
    said = network(padded)["wide"].numpy().sum(axis=1)
    for row, says in enumerate(said):
        for label in range(classes):
            others = (says.sum() - says[label]) / (classes - 1)
            assert found.sums(label, found.text_O == row).sum() == pytest.approx(says[label] - others, abs=1e-4)


def test_the_word_vectors_are_read_and_a_damaged_file_is_named(params: Params, tmp_path: Path) -> None:
    network = build_model(params.train, vocabulary_size=9, classes=2)
    network.save_weights(tmp_path / "model.weights.h5")
    found = LearnedWeights.load(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(found.vectors_ED, network.get_layer("embedding").embeddings.numpy())
    assert found.wide is None
    whole = (tmp_path / "model.weights.h5").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"weights"):
        (tmp_path / "other.h5").write_bytes(damaged)
        with pytest.raises(DataFileError, match=r"other.h5 is damaged"):
            LearnedWeights.load(tmp_path / "other.h5")


def test_words_are_listed_for_the_label_they_speak_for_with_mean_and_texts() -> None:
    predictor = wide_predictor(DEEP, WIDE)
    found = count_ngrams(wide_tables(WIDE), predictor.encode(TEXTS))
    negative, positive = (found.says(predictor, label, np.ones(len(TEXTS), bool)) for label in (0, 1))
    assert [(one.words, one.texts) for one in positive] == [("good", 3)]
    assert positive[0].mean == pytest.approx(2 * (2 / np.sqrt(3) + 1) / 3, abs=1e-5)
    assert [(one.words, one.texts) for one in negative] == [("bad", 3)]
    # In "bad bad" the word is said once, beside the pair; in "a bad film" beside two other words and two pairs.
    assert negative[0].mean == pytest.approx(1.2 * (1 / np.sqrt(3) + 1 / np.sqrt(2) + 1 / np.sqrt(5)) / 3, abs=1e-5)
    assert found.says(predictor, 1, np.arange(len(TEXTS)) < 2) == []


def test_a_words_say_includes_its_spelling_and_a_pair_is_listed_beside_its_words() -> None:
    predictor = wide_predictor(NOTHING, NOTHING)
    tables = wide_tables(NOTHING, spelling={"good": [-1.5, 1.5]}, letters=9, pairs={("good", "film"): [-1.0, 1.0]})
    found = count_ngrams(tables, predictor.encode(["good film", "good film good", "film good film"]))
    said = {one.words: one.mean for one in found.says(predictor, 1, np.ones(3, bool))}
    # Three texts of two words, 18 n-grams of characters; the first has three words and pairs, the others have four.
    assert said == pytest.approx({"good": 3 / np.sqrt(18), "good film": (2 / np.sqrt(3) + 1 + 1) / 3}, abs=1e-5)


def test_a_rare_word_is_not_listed_and_more_texts_ask_for_more() -> None:
    assert enough_texts(10) == 3
    assert enough_texts(2000) == 10


def test_the_words_with_more_than_an_equal_share_of_attention_come_first() -> None:
    predictor = wide_predictor(DEEP, WIDE)
    ids = predictor.encode(["good film", "film good", "good film film"])
    good = predictor.encode(["good"])[0][0]
    attention = [np.array([0.9 if token == good else 0.1 for token in one]) for one in ids]
    found = attended_words(predictor, ids, attention)
    assert [(one.word, one.texts) for one in found] == [("good", 3), ("film", 3)]
    assert found[0].ratio == pytest.approx((0.9 * 2 * 2 + 0.9 * 3) / 3)
    assert found[0].label == "label-1"
    assert found[0].says == pytest.approx(2 * np.tanh(0.5) + 2, abs=1e-5)


def test_an_unknown_word_is_neither_listed_nor_mapped() -> None:
    predictor = wide_predictor(DEEP, {**WIDE, "[UNK]": [3.0, -3.0]})
    learned = LearnedWeights(np.eye(6), wide_tables({**WIDE, "[UNK]": [3.0, -3.0]}))
    table = pd.DataFrame({"text": ["x good film", "y good bad", "z good"]})
    view = global_view(predictor, table, learned, minimum_rows=1)
    words = [say.words for says in view.says.values() for say in says]
    assert not [word for word in words if "UNK" in word]
    assert "[UNK]" not in [one.word for one in view.attended]
    assert view.word_map is not None
    assert view.word_map.words == ["good", "bad", "film"]


def test_the_map_keeps_distances_along_its_two_directions() -> None:
    predictor = wide_predictor({f"w{index}": [0.0, 0.0] for index in range(20)}, None)
    rng = np.random.default_rng(1)
    vectors = np.zeros((22, 10))
    vectors[:, [3, 7]] = rng.normal(size=(22, 2)) * [5, 1]
    found = map_words(predictor, [list(range(2, 22))], vectors)
    assert found is not None
    centred = vectors[2:] - vectors[2:].mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(found.places_W2, axis=1), np.linalg.norm(centred, axis=1), rtol=1e-6)
    assert sum(found.explained) == pytest.approx(1)
    assert found.places_W2[np.abs(found.places_W2[:, 0]).argmax(), 0] > 0


def test_words_too_rare_to_have_a_vector_are_not_mapped() -> None:
    predictor = wide_predictor({f"w{index}": [0.0, 0.0] for index in range(6)}, None)
    found = map_words(predictor, [[2, 3, 4, 5, 6, 7, 7, 7]], np.eye(6))
    assert found is not None
    assert found.words == ["w0", "w1", "w2", "w3"]


def test_too_few_words_give_no_map() -> None:
    predictor = wide_predictor(DEEP, None)
    assert map_words(predictor, predictor.encode(["good bad !"]), np.eye(5)) is None


@pytest.mark.parametrize("labels", [5, 20])
def test_the_map_is_drawn_the_same_each_time_with_names_that_fit(labels: int) -> None:
    names = [f"palavra-{index}" for index in range(150)]
    rng = np.random.default_rng(2)
    words: Any = map_words(
        wide_predictor({name: rng.normal(size=labels).tolist() for name in names}, None, labels=labels),
        [list(range(2, 152))],
        rng.normal(size=(152, 8)),
    )
    drawn = [map_figure(words, [f"label {label}" for label in range(labels)]) for _ in range(2)]
    assert drawn[0] == drawn[1]
    shown = sum(f">{name}<" in drawn[0] for name in names)
    assert 50 < shown <= 150
    assert ("label 1" in drawn[0]) == (labels <= 8)


def test_slices_are_listed_where_they_are_large_enough_and_labels_are_few() -> None:
    table = pd.DataFrame({"text": TEXTS, "domain": ["a", "a", "a", "b", "b", "b", "c"]})
    view = global_view(wide_predictor(DEEP, WIDE), table, LEARNT, minimum_rows=3)
    assert [(part.by, part.value) for part in view.slices] == [("domain", "a"), ("domain", "b")]
    assert [say.words for say in view.slices[0].says["label-1"]] == ["good"]
    assert view.texts == len(TEXTS)
    assert view.word_map is None


def test_a_model_without_wide_branch_has_no_words_and_pairs_to_list() -> None:
    table = pd.DataFrame({"text": TEXTS, "domain": "a"})
    view = global_view(wide_predictor(DEEP, None), table, LearnedWeights(None, None), minimum_rows=1)
    assert view.says == {}
    assert view.slices == []
    assert [one.word for one in view.attended]
