"""What a model relies on over many texts: n-gram contributions, attention, and the map of the word vectors."""

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
from atnet.report.explanations.global_explanation import MAX_TOKENS, explained_rows, global_explanation
from atnet.report.explanations.learned_weights import LearnedWeights
from atnet.report.explanations.ngram_contributions import min_texts, ngram_contributions
from atnet.report.word_map import word_map_figure
from atnet.text.ngrams import NGRAM_BASE
from atnet.wide.branch import WideBranch
from tests.widemodel import wide_predictor, wide_tables

DEEP = {"good": [-0.5, 0.5], "bad": [0.5, -0.5], "film": [0.0, 0.0]}
WIDE = {"good": [-1.0, 1.0], "bad": [0.6, -0.6], "film": [0.0, 0.0]}
ZEROS = {"good": [0.0, 0.0], "film": [0.0, 0.0]}
LEARNED = LearnedWeights(None, wide_tables(WIDE))
TEXTS = ["good film", "good film", "good", "bad film", "bad bad", "a bad film", "rare"]
VOCABULARY, SLOTS = 30, 64


def random_branch(rng: np.random.Generator, texts: list[list[int]], columns: int) -> WideBranch:
    """Build a wide branch of random weights that has most of the texts' bigrams."""
    ngram_ids = np.full(SLOTS, -1, np.int64)
    bigrams = np.array([first * NGRAM_BASE + second for text in texts for first, second in pairwise(text)])
    ngram_ids[bigrams % SLOTS] = bigrams
    words, char_ngrams = rng.normal(size=(2, VOCABULARY, columns))
    char_counts, weights = rng.integers(0, 30, size=VOCABULARY), rng.normal(size=(SLOTS, columns))
    return WideBranch(words, weights, ngram_ids, char_ngrams, char_counts, rng.normal(size=columns))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_contributions_of_words_and_ngrams_add_up_to_the_output_of_the_wide_branch(
    classes: int, params: Params, tmp_path: Path
) -> None:
    rng = np.random.default_rng(classes)
    ids = [rng.integers(1, VOCABULARY, size=size).tolist() for size in (1, 2, 3, 8, 20)]
    ids += [[5, 6, 5, 6, 5, 6], [7, 7, 7]]
    wide = random_branch(rng, ids[:-2], 1 if classes == 2 else classes)
    network = add_wide_branch(build_model(params.train, vocabulary_size=9, classes=classes), wide, (0.7, 1.3))
    network.save_weights(tmp_path / "model.weights.h5")
    learned = LearnedWeights.load(tmp_path / "model.weights.h5")
    assert learned.wide is not None
    contributions = ngram_contributions(learned.wide, ids)
    padded = np.array([text + [0] * (20 - len(text)) for text in ids], np.int32)
    output = network(padded)["wide"].numpy().sum(axis=1)
    for row, logits in enumerate(output):
        for label in range(classes):
            others = (logits.sum() - logits[label]) / (classes - 1)
            total = contributions.totals(label, contributions.text_O == row).sum()
            assert total == pytest.approx(logits[label] - others, abs=1e-4)


def test_the_word_vectors_are_read_and_a_damaged_file_is_named(params: Params, tmp_path: Path) -> None:
    network = build_model(params.train, vocabulary_size=9, classes=2)
    network.save_weights(tmp_path / "model.weights.h5")
    learned = LearnedWeights.load(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(learned.vectors_ED, network.get_layer("embedding").embeddings.numpy())
    assert learned.wide is None
    contents = (tmp_path / "model.weights.h5").read_bytes()
    for damaged in (contents[: len(contents) // 2], b"weights"):
        (tmp_path / "other.h5").write_bytes(damaged)
        with pytest.raises(DataFileError, match=r"other.h5 is damaged"):
            LearnedWeights.load(tmp_path / "other.h5")


def test_words_are_listed_for_the_label_they_contribute_to_with_mean_and_texts() -> None:
    predictor = wide_predictor(DEEP, WIDE)
    contributions = ngram_contributions(wide_tables(WIDE), predictor.encode(TEXTS))
    negative, positive = (contributions.top(predictor, label, np.ones(len(TEXTS), bool)) for label in (0, 1))
    assert [(word.ngram, word.texts) for word in positive] == [("good", 3)]
    assert positive[0].mean == pytest.approx(2 * (2 / np.sqrt(3) + 1) / 3, abs=1e-5)
    assert [(word.ngram, word.texts) for word in negative] == [("bad", 3)]
    # In "bad bad" the word counts once, beside the bigram; in "a bad film" beside two other words and two bigrams.
    assert negative[0].mean == pytest.approx(1.2 * (1 / np.sqrt(3) + 1 / np.sqrt(2) + 1 / np.sqrt(5)) / 3, abs=1e-5)
    assert contributions.top(predictor, 1, np.arange(len(TEXTS)) < 2) == []


def test_the_contribution_of_a_word_includes_its_character_ngrams_and_a_bigram_is_listed_beside_its_words() -> None:
    predictor = wide_predictor(ZEROS, ZEROS)
    tables = wide_tables(
        ZEROS, char_ngrams={"good": [-1.5, 1.5]}, char_ngram_count=9, bigrams={("good", "film"): [-1.0, 1.0]}
    )
    texts = ["good film", "good film good", "film good film"]
    contributions = ngram_contributions(tables, predictor.encode(texts))
    means = {top.ngram: top.mean for top in contributions.top(predictor, 1, np.ones(3, bool))}
    # Three texts of two words with 18 character n-grams; the first has three features, the others have four.
    assert means == pytest.approx({"good": 3 / np.sqrt(18), "good film": (2 / np.sqrt(3) + 1 + 1) / 3}, abs=1e-5)


def test_the_number_of_texts_a_word_must_occur_in_grows_with_the_number_of_texts() -> None:
    assert min_texts(10) == 3
    assert min_texts(2000) == 10


def test_the_words_with_the_highest_attention_ratio_come_first() -> None:
    predictor = wide_predictor(DEEP, WIDE)
    ids = predictor.encode(["good film", "film good", "good film film"])
    good = predictor.encode(["good"])[0][0]
    attention = [np.array([0.9 if token == good else 0.1 for token in text]) for text in ids]
    words = attended_words(predictor, ids, attention)
    assert [(word.word, word.texts) for word in words] == [("good", 3), ("film", 3)]
    assert words[0].attention_ratio == pytest.approx((0.9 * 2 * 2 + 0.9 * 3) / 3)
    assert words[0].label == "label-1"
    assert words[0].contribution == pytest.approx(2 * np.tanh(0.5) + 2, abs=1e-5)


def test_an_unknown_word_is_neither_listed_nor_mapped() -> None:
    predictor = wide_predictor(DEEP, {**WIDE, "[UNK]": [3.0, -3.0]})
    learned = LearnedWeights(np.eye(6), wide_tables({**WIDE, "[UNK]": [3.0, -3.0]}))
    table = pd.DataFrame({"text": ["x good film", "y good bad", "z good"]})
    explanation = global_explanation(predictor, table, learned, min_slice_rows=1)
    listed = [top.ngram for contributions in explanation.contributions.values() for top in contributions]
    assert not [ngram for ngram in listed if "UNK" in ngram]
    assert "[UNK]" not in [word.word for word in explanation.attended_words]
    assert explanation.word_map is not None
    assert explanation.word_map.words == ["good", "bad", "film"]


def test_the_map_preserves_distances_along_its_two_components() -> None:
    predictor = wide_predictor({f"w{index}": [0.0, 0.0] for index in range(20)}, None)
    rng = np.random.default_rng(1)
    vectors = np.zeros((22, 10))
    vectors[:, [3, 7]] = rng.normal(size=(22, 2)) * [5, 1]
    word_map = map_words(predictor, [list(range(2, 22))], vectors)
    assert word_map is not None
    centered = vectors[2:] - vectors[2:].mean(axis=0)
    lengths = np.linalg.norm(word_map.positions_W2, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(centered, axis=1), rtol=1e-6)
    assert sum(word_map.explained_variance) == pytest.approx(1)
    assert word_map.positions_W2[np.abs(word_map.positions_W2[:, 0]).argmax(), 0] > 0


def test_words_too_rare_to_have_a_vector_are_not_mapped() -> None:
    predictor = wide_predictor({f"w{index}": [0.0, 0.0] for index in range(6)}, None)
    word_map = map_words(predictor, [[2, 3, 4, 5, 6, 7, 7, 7]], np.eye(6))
    assert word_map is not None
    assert word_map.words == ["w0", "w1", "w2", "w3"]


def test_too_few_words_give_no_map() -> None:
    predictor = wide_predictor(DEEP, None)
    assert map_words(predictor, predictor.encode(["good bad !"]), np.eye(5)) is None


@pytest.mark.parametrize("labels", [5, 20])
def test_the_map_is_drawn_the_same_every_time_with_names_that_fit(labels: int) -> None:
    names = [f"palavra-{index}" for index in range(150)]
    rng = np.random.default_rng(2)
    word_map: Any = map_words(
        wide_predictor({name: rng.normal(size=labels).tolist() for name in names}, None, labels=labels),
        [list(range(2, 152))],
        rng.normal(size=(152, 8)),
    )
    first, second = (word_map_figure(word_map, [f"label {label}" for label in range(labels)]) for _ in range(2))
    assert first == second
    shown = sum(f">{name}<" in first for name in names)
    assert 50 < shown <= 150
    assert ("label 1" in first) == (labels <= 8)


def test_contributions_are_listed_by_slice_if_slices_are_large_and_labels_are_few() -> None:
    table = pd.DataFrame({"text": TEXTS, "domain": ["a", "a", "a", "b", "b", "b", "c"]})
    explanation = global_explanation(wide_predictor(DEEP, WIDE), table, LEARNED, min_slice_rows=3)
    assert [(part.column, part.value) for part in explanation.slices] == [("domain", "a"), ("domain", "b")]
    assert [top.ngram for top in explanation.slices[0].contributions["label-1"]] == ["good"]
    assert explanation.texts == len(TEXTS)
    assert explanation.word_map is None


def test_a_large_split_is_explained_from_evenly_spaced_rows() -> None:
    assert explained_rows(5, 100) == [0, 1, 2, 3, 4]
    rows = explained_rows(1_000_000, 20_000_000)
    assert len(rows) == MAX_TOKENS // 20
    assert (rows[0], rows[-1]) == (0, 999_999)
    assert max(np.diff(rows)) - min(np.diff(rows)) <= 1


def test_a_model_without_a_wide_branch_has_no_ngram_contributions() -> None:
    table = pd.DataFrame({"text": TEXTS, "domain": "a"})
    explanation = global_explanation(wide_predictor(DEEP, None), table, LearnedWeights(None, None), min_slice_rows=1)
    assert explanation.contributions == {}
    assert explanation.slices == []
    assert [word.word for word in explanation.attended_words]
