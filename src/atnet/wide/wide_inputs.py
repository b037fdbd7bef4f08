"""What the wide branch is fitted on: the features of the training and the validation split.

Shapes: N texts, V vocabulary entries, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sparse

from atnet.text.encoded_split import EncodedSplit
from atnet.text.ngrams import (
    MIN_DOCUMENT_FREQUENCY,
    NgramHashTable,
    char_ngram_matrix,
    document_term_matrix,
    ngram_hash_table,
)
from atnet.wide.ngram_features import WideFeatures, frequent_char_ngrams, wide_features


@dataclass(frozen=True, slots=True)
class WideInputs:
    """The data that the branch is fitted on."""

    features: WideFeatures
    validation_features: WideFeatures
    validation_labels: np.ndarray
    columns: np.ndarray
    table: NgramHashTable

    def without_char_ngrams(self) -> "WideInputs":
        """Return the inputs of a branch of words and word n-grams alone; the arrays are shared."""
        features, validation_features = self.features, self.validation_features
        return replace(
            self,
            features=features.without_char_ngrams(),
            validation_features=validation_features.without_char_ngrams(),
        )


def wide_inputs(train: EncodedSplit, validation: EncodedSplit, words: Sequence[str], weight_columns: int) -> WideInputs:
    """Build the features of both splits; those that occur in too few training texts are dropped.

    Args:
        words: the vocabulary by token id.
        weight_columns: weights stored for each feature.
    """
    table = ngram_hash_table(train, weight_columns)
    terms = sparse.csc_array(document_term_matrix(train, len(words), table))
    columns = np.flatnonzero(np.diff(terms.indptr) >= MIN_DOCUMENT_FREQUENCY)
    char_ngrams = frequent_char_ngrams(char_ngram_matrix(words), terms[:, : len(words)])
    features = wide_features(train, terms, columns, char_ngrams, table.max_n)
    validation_terms = sparse.csc_array(document_term_matrix(validation, len(words), table))
    validation_features = wide_features(validation, validation_terms, columns, char_ngrams, table.max_n)
    return WideInputs(features, validation_features, validation.labels, columns, table)
