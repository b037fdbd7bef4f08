"""Grouping near-duplicate texts."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atnet.data.near_duplicates import WINDOW, NearDuplicateIndex
from atnet.data.shingles import band_keys, jaccard, largest_band, shingle_sets
from tests import reference_near_duplicates

SENTENCE = "the quick brown fox jumps over the lazy dog near the old river bank and then goes home"


def grouped(texts: Sequence[str], *, batch: int, similarity: float = 0.8, minhash_permutations: int = 64) -> list[int]:
    """Return the leader of each text's group; texts are added in batches, the last ones first."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"similarity": similarity, "minhash_permutations": minhash_permutations}
        with NearDuplicateIndex(Path(folder), texts=len(texts), **settings) as index:
            for start in reversed(range(0, len(texts), batch)):
                index.add(texts[start : start + batch], np.arange(start, min(start + batch, len(texts))))
            return index.leaders().tolist()


def leaders(*texts: str, similarity: float = 0.8) -> list[int]:
    """Return the leader of each text's group, with the default signature length."""
    return grouped(texts, batch=1000, similarity=similarity)


def test_a_text_with_one_word_more_is_a_near_duplicate() -> None:
    assert leaders("another text of quite some other words", SENTENCE, f"{SENTENCE} again") == [0, 1, 1]


def test_texts_that_differ_in_punctuation_only_are_near_duplicates() -> None:
    assert leaders("what a great, great film!", "what a great great film") == [0, 0]


def test_texts_of_one_or_two_words_stay_alone() -> None:
    assert leaders("good", "good!", "very good", "very good!", "", "?!") == [0, 1, 2, 3, 4, 5]


def test_texts_of_three_words_are_near_duplicates_only_if_all_words_are_equal() -> None:
    assert leaders("not so good", "not so good!", "not so bad") == [0, 0, 2]


def test_scripts_without_spaces_are_compared_by_character() -> None:
    chinese = "我喜欢这个电影因为它真的非常好看而且很有趣"
    assert leaders(chinese, f"{chinese}啊", "我不喜欢那本书它太长了没有意思") == [0, 0, 2]


def test_combining_accents_belong_to_their_word() -> None:
    sets = shingle_sets(["मुझे हिन्दी में लिखना"])
    assert sets.sizes.tolist() == [2]


def test_groups_are_chained_through_intermediate_texts() -> None:
    words = [f"w{number}" for number in range(60)]
    texts = [" ".join(words[start : start + 50]) for start in (0, 3, 6, 9)]
    pairs = shingle_sets(texts)
    assert jaccard(pairs, np.array([0, 0]), np.array([1, 3])).round(2).tolist() == [0.88, 0.68]
    assert leaders(*texts) == [0, 0, 0, 0]


def test_the_shingles_decide_similarity_not_the_signature() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(400)])
    texts = []
    for _ in range(150):
        text = rng.choice(words, size=40)
        changed = text.copy()
        changed[rng.integers(40, size=int(rng.integers(1, 4)))] = "changed"
        texts += [" ".join(text), " ".join(changed)]
    sets = shingle_sets(texts)
    left = np.arange(0, len(texts), 2)
    similar = jaccard(sets, left, left + 1) >= 0.8
    groups = np.array(leaders(*texts))
    assert 0 < similar.sum() < len(similar)
    assert not (groups[left] == groups[left + 1])[~similar].any()
    assert (groups[left] == groups[left + 1])[similar].mean() > 0.97


def test_repeated_shingles_of_a_text_count_once() -> None:
    assert shingle_sets(["a b c a b c a b c"]).sizes.tolist() == [3]


def test_a_shingle_never_crosses_texts() -> None:
    assert shingle_sets(["one two", "three four", "five six seven"]).sizes.tolist() == [0, 0, 1]


def test_a_signature_depends_on_the_text_alone() -> None:
    alone = band_keys(shingle_sets([SENTENCE]), rows=5, minhash_permutations=64)
    among = band_keys(shingle_sets(["some other text", "ok", SENTENCE]), rows=5, minhash_permutations=64)
    assert alone[0].tolist() == among[2].tolist()
    assert alone.shape == (1, 12)


def test_more_texts_merge_groups_but_never_divide_one() -> None:
    rng = np.random.default_rng(1)
    words = np.array([f"w{number}" for number in range(30)])
    bases = [rng.choice(words, size=20) for _ in range(20)]
    texts = [" ".join(np.roll(bases[number % 20], 0)[: 20 - number // 20]) for number in range(200)]
    texts = list(dict.fromkeys(texts))
    few, many = np.array(leaders(*texts[:80])), np.array(leaders(*texts))
    for leader in np.unique(few):
        assert len(np.unique(many[:80][few == leader])) == 1


def test_a_bucket_larger_than_the_window_becomes_one_group() -> None:
    texts = [f"{SENTENCE} number {number}" for number in range(5 * WINDOW)]
    assert set(leaders(*texts)) == {0}


@pytest.mark.parametrize(("similarity", "rows"), [(0.5, 2), (0.8, 5), (0.95, 12)])
def test_bands_are_as_large_as_the_recall_allows(similarity: float, rows: int) -> None:
    chosen = largest_band(similarity, 64)
    assert abs(chosen - rows) <= 2
    assert 1 - (1 - similarity**chosen) ** (64 // chosen) >= 0.99


def test_no_texts_give_no_groups() -> None:
    assert leaders() == []


def random_texts(rng: np.random.Generator, texts: int) -> list[str]:
    """Return distinct texts: copies with changed words, chains of copies, short texts, and very large buckets."""
    words = np.array([f"w{number}" for number in range(60)])
    made = [f"{SENTENCE} number {number}" for number in range(3 * WINDOW)]
    made += [" ".join(rng.choice(words, size=rng.integers(0, 4))) for _ in range(texts // 10)]
    while len(made) < texts:
        text = rng.choice(words, size=int(rng.integers(5, 30)))
        for _ in range(int(rng.integers(1, 6))):
            made.append(" ".join(text))
            text = text.copy()
            text[rng.integers(len(text), size=int(rng.integers(1, 3)))] = rng.choice(words)
    return [str(text) for text in rng.permutation(list(dict.fromkeys(made)))]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("similarity", "batch"), [(0.8, 97), (0.5, 1000), (0.9, 5000)])
def test_the_groups_are_those_of_the_implementation_that_keeps_everything_in_memory(
    seed: int, similarity: float, batch: int
) -> None:
    texts = random_texts(np.random.default_rng(seed), 2000)
    expected = reference_near_duplicates.near_duplicate_leaders(
        texts, similarity=similarity, minhash_permutations=64
    ).tolist()
    assert grouped(texts, batch=batch, similarity=similarity) == expected
    assert 100 < len(set(expected)) < len(texts)


def test_a_real_data_set_has_the_groups_of_the_implementation_that_keeps_everything_in_memory(
    datasets: Path,
) -> None:
    texts = pd.read_csv(datasets / "trec.csv.gz", dtype=str)["text"].str.casefold().drop_duplicates().tolist()
    expected = reference_near_duplicates.near_duplicate_leaders(texts, similarity=0.6, minhash_permutations=64)
    assert grouped(texts, batch=999, similarity=0.6) == expected.tolist()
