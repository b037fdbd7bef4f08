"""The wide branch: its features, its fit, and the layer that reproduces it in the network."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from atnet.config import Params
from atnet.errors import DataContractError
from atnet.text.encoded_split import EncodedSplit
from atnet.text.ngrams import (
    CHUNK_TEXTS,
    MIN_SLOTS,
    NGRAM_BASE,
    char_ngram_matrix,
    char_ngrams,
    document_term_matrix,
    ngram_hash_table,
    ngram_tokens,
    word_ngram_ids,
)
from atnet.text.training_targets import TrainingTargets
from atnet.wide.branch import WideBranch, fit_wide_branch, select_branch
from atnet.wide.ngram_layers import TABLES, BlendLogits, WideNgrams
from tests.encoded import VOCABULARY, WORDS, encoded_split, pad, random_wide_branch, split_of_texts

NO_TEXTS = EncodedSplit(
    np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32), pa.array([], pa.string()), None, None
)


def fit(
    train: EncodedSplit,
    classes: int,
    *,
    words: Sequence[str] = WORDS,
    regularization: Sequence[float] = (3.0,),
    validation: EncodedSplit | None = None,
) -> WideBranch:
    return select_branch(
        train,
        validation or train,
        words=words,
        targets=TrainingTargets(np.eye(classes, dtype=np.float32)[train.labels]),
        row_weights=np.ones(len(train), np.float32),
        regularization=regularization,
    )


def layer_of(branch: WideBranch, classes: int) -> WideNgrams:
    layer = WideNgrams(len(branch.word_weights), len(branch.ngram_weights), classes, branch.max_n)
    layer(np.ones((1, 2), np.int32))
    for name in TABLES:
        getattr(layer, name).assign(getattr(branch, name))
    return layer


def texts_of(split: EncodedSplit) -> list[np.ndarray]:
    return [split.tokens[start:end] for start, end in zip(split.offsets[:-1], split.offsets[1:], strict=True)]


def test_character_ngrams_have_two_to_five_characters_with_a_space_on_either_side() -> None:
    assert char_ngrams("ab") == [" a", "ab", "b ", " ab", "ab ", " ab "]
    matrix = char_ngram_matrix(["[PAD]", "[UNK]", "ab", "abc"])
    assert matrix[:2].sum() == 0
    assert matrix[2].sum() == 6
    assert (matrix[[2]] @ matrix[[3]].T).toarray()[0, 0] == 3  # " a", "ab", " ab"


def test_the_matrix_has_the_character_ngrams_of_each_word_in_any_alphabet() -> None:
    words = ["[PAD]", "[UNK]", "aaaa", "naïve", "日本語", "😀a😀", "a"]
    matrix = char_ngram_matrix(words)
    listed = [set(char_ngrams(word)) for word in words[2:]]
    assert matrix.shape == (len(words), len(set().union(*listed)))
    shared = (matrix[2:] @ matrix[2:].T).toarray()
    np.testing.assert_array_equal(shared, [[len(left & right) for right in listed] for left in listed])
    assert char_ngram_matrix(words[:2]).shape == (2, 1)


def test_ngrams_too_wide_for_one_integer_with_their_text_are_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atnet.text.ngrams.LARGE_SPLIT_TOKENS", 100)
    split = encoded_split(300)
    table = ngram_hash_table(split, columns=1)
    terms = document_term_matrix(split, VOCABULARY, table)
    monkeypatch.setattr("atnet.text.ngrams.MAX_KEY_BITS", 1)
    np.testing.assert_array_equal(ngram_hash_table(split, columns=1).ngram_ids, table.ngram_ids)
    assert (document_term_matrix(split, VOCABULARY, table) != terms).nnz == 0


def test_ngram_ids_are_unique_and_ngrams_end_with_their_text() -> None:
    tokens, texts = np.array([2, 3, 4, 99_999, 99_998, 99_997]), np.array([0, 0, 0, 1, 1, 1])
    ids, id_texts = word_ngram_ids(tokens, texts, 3)
    ngrams = [ngram_tokens(ngram_id) for ngram_id in ids.tolist()]
    assert ngrams == [(2, 3), (3, 4), (99_999, 99_998), (99_998, 99_997), (2, 3, 4), (99_999, 99_998, 99_997)]
    assert id_texts.tolist() == [0, 0, 1, 1, 0, 1]


def test_only_ngrams_of_at_least_two_texts_get_a_slot() -> None:
    table = ngram_hash_table(split_of_texts([[2, 3, 4], [2, 3], [3, 4, 4]], [0, 1, 0]), columns=1)
    ids = set(table.ngram_ids[table.ngram_ids >= 0].tolist())
    assert ids == {2 * NGRAM_BASE + 3, 3 * NGRAM_BASE + 4}
    assert table.slots(np.array([4 * NGRAM_BASE + 2])) == -1


def test_a_feature_counts_once_per_text() -> None:
    split = split_of_texts([[2, 3, 2, 3], [2, 3]], [0, 1])
    terms = document_term_matrix(split, VOCABULARY, ngram_hash_table(split, columns=1))
    assert terms.max() == 1
    assert terms.sum(axis=1).tolist() == [3, 3]


def test_with_more_weight_columns_there_are_fewer_slots() -> None:
    assert len(ngram_hash_table(encoded_split(4000), columns=2**12)) < len(
        ngram_hash_table(encoded_split(4000), columns=1)
    )
    assert len(ngram_hash_table(encoded_split(60), columns=2**20)) == MIN_SLOTS


def test_the_table_of_a_large_split_stays_within_its_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atnet.text.ngrams.MAX_TABLE_BYTES", 2**16)
    assert len(ngram_hash_table(encoded_split(4000), columns=1)) * (4 + 8) <= 2**16


@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns_which_words_indicate_a_label(classes: int) -> None:
    branch = fit(encoded_split(300, classes=classes), classes)
    other = encoded_split(90, classes=classes, seed=1)
    assert (branch.logits(other).argmax(axis=1) == other.labels).mean() > 0.9


def test_a_rare_word_is_classified_by_its_character_ngrams() -> None:
    words = ["[PAD]", "[UNK]", "happy", "unhappy", "lucky", "unlucky", "unhappier", "happier"]
    texts = [[2], [3], [4], [5]] * 10 + [[6], [7]]
    labels = [1, 0, 1, 0] * 10 + [0, 1]
    branch = fit(split_of_texts(texts, labels), 2, words=words)
    logits = branch.logits(split_of_texts([[6], [7]], [0, 1]))[:, 1]
    assert logits[0] < 0 < logits[1]
    assert branch.word_weights[6] == branch.word_weights[7] == 0


def test_character_ngrams_are_dropped_where_they_raise_the_validation_loss() -> None:
    words = ["[PAD]", "[UNK]", "happy", "unhappy", "lucky", "unlucky"]
    train = split_of_texts([[2], [3], [4], [5]] * 10, [1, 0, 1, 0] * 10)
    consistent = split_of_texts([[2], [5]], [1, 0])
    contradicting = split_of_texts([[2], [3], [4], [5]], [1, 1, 0, 0])
    assert np.any(fit(train, 2, words=words, validation=consistent).char_ngram_weights)
    without = fit(train, 2, words=words, validation=contradicting, regularization=(0.01,))
    assert not np.any(without.char_ngram_weights)


def test_the_regularization_with_the_lowest_validation_loss_is_selected() -> None:
    rng = np.random.default_rng(0)
    train, validation = encoded_split(200), encoded_split(100, seed=1)
    train.labels[:] = rng.permutation(train.labels)
    selected = fit(train, 2, regularization=(0.001, 100.0), validation=validation)
    strong = fit(train, 2, regularization=(0.001,), validation=validation)
    np.testing.assert_array_equal(selected.word_weights, strong.word_weights)


def test_two_fits_give_the_same_bytes() -> None:
    first, second = (fit(encoded_split(200, classes=3), 3) for _ in range(2))
    for name in (*TABLES, "intercept"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize(("classes", "large_split", "max_n"), [(2, 10**6, 2), (4, 100, 3), (2, 100, 3)])
def test_the_layer_computes_the_logits_of_the_fitted_branch(
    classes: int, large_split: int, max_n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atnet.text.ngrams.LARGE_SPLIT_TOKENS", large_split)
    split = encoded_split(60, classes=classes)
    branch = fit(split, classes)
    assert branch.max_n == max_n
    layer, blend = layer_of(branch, classes), BlendLogits()
    contributions = layer(pad(texts_of(split)))
    deep = np.zeros((len(split), classes), np.float32)
    blend([deep, contributions])
    blend.intercept.assign(branch.intercept if classes > 2 else [-branch.intercept[0] / 2, branch.intercept[0] / 2])
    np.testing.assert_allclose(blend([deep, contributions])[0], branch.logits(split), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_contributions_ignore_padding_and_other_texts_and_repeated_words_share_theirs(classes: int) -> None:
    layer = layer_of(random_wide_branch(classes, 30), classes)
    alone, together = layer(pad([[2, 3, 2]])), layer(pad([[2, 3, 2], [4, 5, 6, 7]], extra=3))
    np.testing.assert_allclose(alone[0], together[0, :3], atol=1e-6)
    assert not np.any(together[0, 3:])
    np.testing.assert_allclose(layer(np.array([[2]], np.int32))[0, 0], layer(pad([[2]], extra=4))[0, 0], atol=1e-6)
    assert together.shape == layer.compute_output_shape((2, 7)) == (2, 7, classes)
    repeated = layer(pad([[5, 5]]))
    np.testing.assert_allclose(repeated[0, 0], repeated[0, 1], atol=1e-6)


@pytest.mark.parametrize("max_n", [2, 3])
@pytest.mark.parametrize("text", [[2], [2, 3], [2, 3, 4]])
def test_the_shortest_texts_have_the_same_contributions_alone_and_in_a_batch(
    text: list[int], max_n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atnet.text.ngrams.LARGE_SPLIT_TOKENS", 100 if max_n == 3 else 10**6)
    branch = fit(encoded_split(60), 2)
    layer = layer_of(branch, 2)
    alone, together = layer(pad([text])), layer(pad([text, [4, 5, 6, 7, 8]]))
    assert (branch.max_n, alone.shape) == (max_n, (1, len(text), 2))
    np.testing.assert_allclose(alone[0], together[0, : len(text)], atol=1e-6)


def test_an_unknown_bigram_contributes_nothing_even_if_its_slot_is_taken() -> None:
    branch = random_wide_branch(2, 30, slots=4)
    layer = layer_of(branch, 2)
    taken = set(branch.ngram_ids.tolist())
    bigram = next((a, b) for a in range(10, 30) for b in range(10, 30) if a * NGRAM_BASE + b not in taken)
    before = layer(np.array([bigram], np.int32)).numpy()
    layer.ngram_weights.assign(100 * branch.ngram_weights)
    np.testing.assert_array_equal(layer(np.array([bigram], np.int32)), before)


def test_logits_do_not_depend_on_the_other_texts_of_a_split() -> None:
    branch, split = random_wide_branch(2, VOCABULARY), encoded_split(CHUNK_TEXTS + 50)
    last = np.arange(CHUNK_TEXTS - 10, len(split))
    assert np.array_equal(branch.logits(split)[last], branch.logits(split.taken(last)))


@pytest.mark.parametrize(("empty", "name"), [("train", "training"), ("validation", "validation")])
def test_an_empty_split_is_named(params: Params, empty: str, name: str) -> None:
    splits = {"train": encoded_split(20), "validation": encoded_split(20), empty: NO_TEXTS}
    with pytest.raises(DataContractError, match=f"{name} split is empty"):
        fit_wide_branch(params.train, **splits, words=WORDS, classes=2)


def test_it_is_fitted_on_at_most_the_configured_number_of_tokens(params: Params) -> None:
    full, validation = encoded_split(400), encoded_split(100, seed=1)

    def branch(wide_max_tokens: int | None, train: EncodedSplit) -> WideBranch:
        config = params.train.model_copy(update={"wide_max_tokens": wide_max_tokens, "soft_target_slope": None})
        fitted = fit_wide_branch(config, train=train, validation=validation, words=WORDS, classes=2)
        assert fitted is not None
        return fitted

    bounded = branch(2000, full)
    assert np.array_equal(bounded.word_weights, branch(None, full.sampled(2000)).word_weights)
    assert not np.array_equal(bounded.word_weights, branch(None, full).word_weights)
