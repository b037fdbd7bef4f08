"""Word and character n-gram counts, on which the linear baselines are fitted.

Letters in array names: N texts, F word n-grams, V words, G character n-grams.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer

from atnet.errors import DataContractError
from atnet.evaluation.metrics import Ints
from atnet.text.ngrams import char_ngrams
from atnet.text.word_splitting import split_words, text_normalizer, word_splitter


@dataclass(frozen=True, slots=True)
class NgramCounts:
    """The n-grams of N texts. Character n-grams are counted word by word, which needs little memory."""

    words_NF: csr_array
    """Counts of word n-grams."""
    vocabulary_NV: csr_array
    """Counts of all words of these texts."""
    char_ngrams_VG: csr_array
    """The character n-grams of each of those words, with the spaces around it; all entries are 1."""

    @property
    def chars_NG(self) -> csr_array:
        """Counts of character n-grams."""
        return csr_array(self.vocabulary_NV @ self.char_ngrams_VG)

    @property
    def tokens_N(self) -> Ints:
        """Words of each text, (N,)."""
        return np.asarray(self.vocabulary_NV.sum(axis=1)).ravel()

    def taken(self, rows: np.ndarray | slice) -> "NgramCounts":
        """Return the counts of some texts."""
        return NgramCounts(self.words_NF[rows], self.vocabulary_NV[rows], self.char_ngrams_VG)


@dataclass(frozen=True, slots=True)
class NgramCounter:
    """Counts the n-grams that occur in the training texts."""

    word_ngrams: CountVectorizer
    char_columns: Mapping[str, int]
    """Column of each character n-gram."""

    def transform(self, texts: Sequence[str]) -> NgramCounts:
        """Count the n-grams of texts; those that do not occur in the training texts are ignored."""
        words = tokenize_words(texts)
        vocabulary, vocabulary_NV = count_vocabulary(words)
        char_ngrams_VG = _char_ngram_matrix(vocabulary, self.char_columns)
        return NgramCounts(csr_array(self.word_ngrams.transform(words)), vocabulary_NV, char_ngrams_VG)


def fit_counter(texts: Sequence[str], *, max_n: int, min_document_frequency: int) -> tuple[NgramCounter, NgramCounts]:
    """Select the n-grams that become features and count them.

    Raises:
        DataContractError: if the texts contain no words.
    """
    words = tokenize_words(texts)
    word_ngrams, words_NF = fit_vectorizer(words, max_n=max_n, min_document_frequency=min_document_frequency)
    vocabulary, vocabulary_NV = count_vocabulary(words)
    distinct = dict.fromkeys(ngram for word in vocabulary for ngram in char_ngrams(word))
    char_columns = {ngram: column for column, ngram in enumerate(distinct)}
    counts = NgramCounts(words_NF, vocabulary_NV, _char_ngram_matrix(vocabulary, char_columns))
    return NgramCounter(word_ngrams, char_columns), counts


def count_vocabulary(words: Sequence[Sequence[str]]) -> tuple[list[str], csr_array]:
    """Return the distinct words in order of first occurrence, and how often each text contains them (N, V)."""
    column_of: dict[str, int] = {}
    columns = [column_of.setdefault(word, len(column_of)) for text in words for word in text]
    offsets = np.cumsum([0, *map(len, words)])
    counts_NV = csr_array((np.ones(len(columns)), columns, offsets), shape=(len(words), max(len(column_of), 1)))
    counts_NV.sum_duplicates()
    return list(column_of), counts_NV


def _char_ngram_matrix(words: Sequence[str], column_of: Mapping[str, int]) -> csr_array:
    columns = [[column_of[ngram] for ngram in char_ngrams(word) if ngram in column_of] for word in words]
    offsets = np.cumsum([0, *map(len, columns)], dtype=np.int64)
    flat = np.fromiter(chain.from_iterable(columns), np.int64, int(offsets[-1]))
    # A text without words has a vocabulary of one empty entry.
    offsets = offsets if words else np.zeros(2, np.int64)
    return csr_array((np.ones(len(flat)), flat, offsets), shape=(max(len(words), 1), max(len(column_of), 1)))


def tokenize_words(texts: Sequence[str]) -> list[list[str]]:
    """Split texts into lower-case words, in the same way as the word tokenizer."""
    return split_words(texts, text_normalizer(lowercase=True, strip_accents=False), word_splitter())


def word_ngrams(words: Sequence[str], *, max_n: int) -> Iterator[str]:
    """Yield all n-grams of one to `max_n` words."""
    for n in range(1, max_n + 1):
        for start in range(len(words) - n + 1):
            yield " ".join(words[start : start + n])


def fit_vectorizer(
    words: Sequence[Sequence[str]], *, max_n: int, min_document_frequency: int
) -> tuple[CountVectorizer, csr_array]:
    """Select the n-grams that become features and count them; if none is frequent enough, all become features.

    Raises:
        DataContractError: if the texts contain no words.
    """
    for minimum in (min_document_frequency, 1):
        vectorizer = CountVectorizer(analyzer=partial(word_ngrams, max_n=max_n), min_df=minimum, dtype=np.float64)
        # scikit-learn reports an empty vocabulary only through this exception.
        with contextlib.suppress(ValueError):
            return vectorizer, csr_array(vectorizer.fit_transform(words))
    raise DataContractError("The training texts contain no words. Check data.columns.text.")
