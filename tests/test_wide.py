"""The wide branch: its features, its fit, and the layer that answers as it was fitted."""

import keras
import numpy as np
import pytest

from atnet.errors import DataContractError
from atnet.network.layers import FrequentTokens
from atnet.text.encoded_split import EncodedSplit
from atnet.text.ngrams import (
    FEWEST_SLOTS,
    RUN_FACTOR,
    TEXTS_AT_ONCE,
    character_ngrams,
    ngram_hash_table,
    present_ngrams,
    run_tokens,
    spelling,
    word_runs,
)
from atnet.wide.branch import fit_wide, wide_branch
from atnet.wide.ngram_layers import BlendLogits, WideNgrams
from encoded import VOCABULARY, WORDS, encoded_split, some_wide


def split_of(texts, labels):
    return EncodedSplit(
        tokens=np.concatenate(texts).astype(np.int32),
        offsets=np.cumsum([0, *map(len, texts)]),
        labels=np.array(labels, np.int32),
        text_hashes=[str(row) for row in range(len(texts))],
        ratings=None,
        weights=None,
    )


def fitted(train, classes, words=WORDS, strengths=(3.0,), validation=None):
    return fit_wide(
        train,
        validation or train,
        words=words,
        targets=np.eye(classes, dtype=np.float32)[train.labels],
        row_weights=np.ones(len(train), np.float32),
        strengths=strengths,
    )


def layer_of(branch, classes):
    layer = WideNgrams(len(branch.words), len(branch.runs), classes, branch.longest)
    layer(np.ones((1, 2), np.int32))
    for name in ("words", "runs", "numbers", "spelling", "letters"):
        getattr(layer, name).assign(getattr(branch, name))
    return layer


def padded(texts, beyond=0):
    tokens = np.zeros((len(texts), max(map(len, texts)) + beyond), np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
    return tokens


def test_a_word_is_spelt_with_the_runs_of_two_to_five_signs_between_two_spaces():
    assert character_ngrams("ab") == [" a", "ab", "b ", " ab", "ab ", " ab "]
    matrix = spelling(["[PAD]", "[UNK]", "ab", "abc"])
    assert matrix[:2].sum() == 0
    assert matrix[2].sum() == 6
    assert (matrix[[2]] @ matrix[[3]].T).toarray()[0, 0] == 3  # " a", "ab", " ab"


def test_runs_are_numbered_exactly_and_end_with_their_text():
    tokens, texts = np.array([2, 3, 4, 99_999, 99_998, 99_997]), np.array([0, 0, 0, 1, 1, 1])
    numbers, where = word_runs(tokens, texts, 3)
    runs = [run_tokens(number) for number in numbers.tolist()]
    assert runs == [(2, 3), (3, 4), (99_999, 99_998), (99_998, 99_997), (2, 3, 4), (99_999, 99_998, 99_997)]
    assert where.tolist() == [0, 0, 1, 1, 0, 1]


def test_only_pairs_of_two_texts_have_a_slot_and_none_reaches_over_the_end_of_a_text():
    slots = ngram_hash_table(split_of([[2, 3, 4], [2, 3], [3, 4, 4]], [0, 1, 0]), columns=1)
    known = set(slots.numbers[slots.numbers >= 0].tolist())
    assert known == {2 * RUN_FACTOR + 3, 3 * RUN_FACTOR + 4}
    assert slots.of(np.array([4 * RUN_FACTOR + 2])) == -1


def test_a_feature_counts_once_in_a_text():
    split = split_of([[2, 3, 2, 3], [2, 3]], [0, 1])
    slots = ngram_hash_table(split, columns=1)
    present = present_ngrams(split, VOCABULARY, slots)
    assert present.max() == 1
    assert present.sum(axis=1).tolist() == [3, 3]


def test_many_columns_share_fewer_slots():
    split = encoded_split(4000)
    assert len(ngram_hash_table(split, columns=2**12)) < len(ngram_hash_table(split, columns=1))
    assert len(ngram_hash_table(encoded_split(60), columns=2**20)) == FEWEST_SLOTS


@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns_which_words_tell_a_label(classes):
    branch = fitted(encoded_split(300, classes=classes), classes)
    other = encoded_split(90, classes=classes, seed=1)
    assert (branch.logits(other).argmax(axis=1) == other.labels).mean() > 0.9


def test_a_word_never_met_in_a_label_speaks_by_its_spelling():
    words = ["[PAD]", "[UNK]", "happy", "unhappy", "lucky", "unlucky", "unhappier", "happier"]
    texts = [[2], [3], [4], [5]] * 10 + [[6], [7]]
    labels = [1, 0, 1, 0] * 10 + [0, 1]
    branch = fitted(split_of(texts, labels), 2, words=words)
    said = branch.logits(split_of([[6], [7]], [0, 1]))[:, 1]
    assert said[0] < 0 < said[1]
    assert branch.words[6] == branch.words[7] == 0


def test_spelling_is_left_out_where_it_misleads_on_validation():
    words = ["[PAD]", "[UNK]", "happy", "unhappy", "lucky", "unlucky"]
    train = split_of([[2], [3], [4], [5]] * 10, [1, 0, 1, 0] * 10)
    agreeing, against = split_of([[2], [5]], [1, 0]), split_of([[2], [3], [4], [5]], [1, 1, 0, 0])
    assert np.any(fitted(train, 2, words=words, validation=agreeing).spelling)
    assert not np.any(fitted(train, 2, words=words, validation=against, strengths=(0.01,)).spelling)


def test_it_keeps_the_strength_that_suits_the_validation_split():
    rng = np.random.default_rng(0)
    train, validation = encoded_split(200), encoded_split(100, seed=1)
    train.labels[:] = rng.permutation(train.labels)
    best, strong = (
        fitted(train, 2, strengths=(0.001, 100.0), validation=validation),
        fitted(train, 2, strengths=(0.001,), validation=validation),
    )
    np.testing.assert_array_equal(best.words, strong.words)


def test_the_fit_repeats_its_bytes():
    first, second = (fitted(encoded_split(200, classes=3), 3) for _ in range(2))
    for name in ("words", "runs", "numbers", "spelling", "letters", "intercept"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize(("classes", "many", "longest"), [(2, 10**6, 2), (4, 100, 3), (2, 100, 3)])
def test_the_layer_answers_as_the_branch_was_fitted(classes, many, longest, monkeypatch):
    monkeypatch.setattr("atnet.text.ngrams.MANY_TOKENS", many)
    split = encoded_split(60, classes=classes)
    branch = fitted(split, classes)
    assert branch.longest == longest
    layer, both = layer_of(branch, classes), BlendLogits()
    texts = [split.tokens[a:b] for a, b in zip(split.offsets[:-1], split.offsets[1:], strict=True)]
    said = layer(padded(texts))
    deep = np.zeros((len(split), classes), np.float32)
    both([deep, said])
    both.intercept.assign(branch.intercept if classes > 2 else [-branch.intercept[0] / 2, branch.intercept[0] / 2])
    np.testing.assert_allclose(both([deep, said])[0], branch.logits(split), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_padding_and_company_change_nothing_and_repeated_words_share_their_say(classes):
    layer = layer_of(some_wide(classes, 30), classes)
    alone, among = layer(padded([[2, 3, 2]])), layer(padded([[2, 3, 2], [4, 5, 6, 7]], beyond=3))
    np.testing.assert_allclose(alone[0], among[0, :3], atol=1e-6)
    assert not np.any(among[0, 3:])
    np.testing.assert_allclose(layer(np.array([[2]], np.int32))[0, 0], layer(padded([[2]], beyond=4))[0, 0], atol=1e-6)
    assert among.shape == layer.compute_output_shape((2, 7)) == (2, 7, classes)
    single = layer(padded([[5, 5]]))
    np.testing.assert_allclose(single[0, 0], single[0, 1], atol=1e-6)


def test_a_pair_that_was_never_met_says_nothing_though_its_slot_is_taken():
    branch = some_wide(2, 30, slots=4)
    layer = layer_of(branch, 2)
    taken = set(branch.numbers.tolist())
    pair = next((a, b) for a in range(10, 30) for b in range(10, 30) if a * RUN_FACTOR + b not in taken)
    said = layer(np.array([pair], np.int32)).numpy()
    layer.runs.assign(100 * branch.runs)
    np.testing.assert_array_equal(layer(np.array([pair], np.int32)), said)


@pytest.mark.parametrize("layer", [WideNgrams(5, 8, 4, 3), BlendLogits(), FrequentTokens(7)])
def test_a_layer_comes_back_from_its_configuration(layer):
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()


def test_a_rare_token_is_taken_for_the_unknown_word():
    assert FrequentTokens(4)(np.array([[0, 1, 3, 4, 90]], np.int32)).numpy().tolist() == [[0, 1, 3, 1, 1]]


@pytest.mark.parametrize(("empty", "name"), [("train", "training"), ("validation", "validation")])
def test_a_split_without_texts_is_named(params, empty, name):
    splits = {"train": encoded_split(20), "validation": encoded_split(20), empty: no_texts()}
    with pytest.raises(DataContractError, match=f"{name} split is empty"):
        wide_branch(params.train, **splits, words=WORDS, classes=2)


def no_texts():
    return EncodedSplit(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32), [], None, None)


def test_it_learns_from_no_more_tokens_than_it_may(params):
    splits = {"train": encoded_split(400), "validation": encoded_split(100, seed=1)}

    def branch(wide_max_tokens, train):
        config = params.train.model_copy(update={"wide_max_tokens": wide_max_tokens, "soft_target_slope": None})
        return wide_branch(config, train=train, validation=splits["validation"], words=WORDS, classes=2)

    bounded = branch(2000, splits["train"])
    assert np.array_equal(bounded.words, branch(None, splits["train"].sampled(2000)).words)
    assert not np.array_equal(bounded.words, branch(None, splits["train"]).words)


def test_answers_do_not_depend_on_the_texts_beside_them():
    branch, split = some_wide(2, VOCABULARY), encoded_split(TEXTS_AT_ONCE + 50)
    last = np.arange(TEXTS_AT_ONCE - 10, len(split))
    assert np.array_equal(branch.logits(split)[last], branch.logits(split.taken(last)))


@pytest.mark.parametrize("longest", [2, 3])
@pytest.mark.parametrize("text", [[2], [2, 3], [2, 3, 4]])
def test_the_shortest_texts_are_answered_alone_as_among_longer_ones(text, longest, monkeypatch):
    monkeypatch.setattr("atnet.text.ngrams.MANY_TOKENS", 100 if longest == 3 else 10**6)
    branch = fitted(encoded_split(60), 2)
    layer = layer_of(branch, 2)
    alone, among = layer(padded([text])), layer(padded([text, [4, 5, 6, 7, 8]]))
    assert (branch.longest, alone.shape) == (longest, (1, len(text), 2))
    np.testing.assert_allclose(alone[0], among[0, : len(text)], atol=1e-6)


def test_the_table_of_a_large_split_stays_small(monkeypatch):
    monkeypatch.setattr("atnet.text.ngrams.LARGEST_TABLE", 2**16)
    assert len(ngram_hash_table(encoded_split(4000), columns=1)) * (4 + 8) <= 2**16
