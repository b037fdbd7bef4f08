"""The wide branch: a linear model of words, word n-grams and character n-grams, fitted before the network is trained.

NB-SVM (Wang & Manning 2012) with the logistic loss, extended by the character n-grams of each word. After the fit the
weights of a word's character n-grams are summed into one number per word, so that inference needs token ids only.

Shapes: N texts, V vocabulary entries, R slots for word n-grams, F features, K weight columns (see `weight_columns`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from atnet.config import TrainConfig
from atnet.text.encoded_split import EncodedSplit, check_splits, row_weights
from atnet.text.ngrams import (
    CHUNK_TEXTS,
    NgramHashTable,
    count_distinct_ngrams,
    document_term_matrix,
    weight_columns,
)
from atnet.text.training_targets import TrainingTargets, training_targets
from atnet.wide.blending import binary_to_two_logits
from atnet.wide.candidates import Candidate, first_minimum, fit_candidate
from atnet.wide.logistic import LogisticFit
from atnet.wide.ngram_features import log_count_ratios, sqrt_column
from atnet.wide.wide_inputs import WideInputs, wide_inputs


@dataclass(frozen=True, slots=True)
class WideBranch:
    """The weights of the wide branch, which the layer `WideNgrams` holds."""

    word_weights: np.ndarray
    """(V, K) float32."""
    ngram_weights: np.ndarray
    """(R, K) float32, the weights of the word n-gram in each slot."""
    ngram_ids: np.ndarray
    """(R,) int64, the word n-gram in each slot; -1 for an empty slot."""
    char_ngram_weights: np.ndarray
    """(V, K) float32, the summed weights of a word's character n-grams."""
    char_ngram_counts: np.ndarray
    """(V,) float32, the number of those n-grams."""
    intercept: np.ndarray
    """(K,) float32."""

    @property
    def max_n(self) -> int:
        """Number of words in the longest n-gram."""
        return NgramHashTable(self.ngram_ids).max_n

    def logits(self, split: EncodedSplit) -> np.ndarray:
        """Return the logits (N, C) of a split, as the layer computes them."""
        weights = np.concatenate([self.word_weights, self.ngram_weights])
        rows = np.arange(len(split))
        chunks = (rows[start : start + CHUNK_TEXTS] for start in range(0, len(rows), CHUNK_TEXTS))
        return np.concatenate([self._chunk_logits(split.taken(chunk), weights) for chunk in chunks])

    def _chunk_logits(self, split: EncodedSplit, weights: np.ndarray) -> np.ndarray:
        table = NgramHashTable(self.ngram_ids)
        terms = document_term_matrix(split, len(self.word_weights), table)
        words = terms[:, : len(self.word_weights)]
        logits = (terms @ weights) / sqrt_column(count_distinct_ngrams(split, table.max_n))
        logits += (words @ self.char_ngram_weights) / sqrt_column(words @ self.char_ngram_counts)
        return binary_to_two_logits(logits + self.intercept)


FitCallback = Callable[[str], None]
"""Called after each fit with a line about it: a fit on many texts takes minutes."""


def ignore_fit(message: str) -> None:
    """Do nothing after a fit."""


def fit_wide_branch(
    config: TrainConfig,
    *,
    train: EncodedSplit,
    validation: EncodedSplit,
    words: Sequence[str],
    classes: int,
    on_fit: FitCallback = ignore_fit,
) -> WideBranch | None:
    """Fit the branch that section train configures, on at most `wide_max_tokens` tokens of each split.

    Args:
        words: the vocabulary by token id.
        on_fit: called after each fit.

    Returns:
        The branch, or None if it is switched off.

    Raises:
        DataContractError: if a split is empty or train has fewer than two labels.
    """
    check_splits(train, validation)
    if not config.wide or config.attention == "published":
        return None
    train, validation = train.sampled(config.wide_max_tokens), validation.sampled(config.wide_max_tokens)
    return select_branch(
        train,
        validation,
        words=words,
        targets=training_targets(train, classes=classes, config=config),
        row_weights=row_weights(train, classes=classes, balanced=config.class_weights == "balanced"),
        regularization=config.wide_regularization,
        on_fit=on_fit,
    )


def select_branch(
    train: EncodedSplit,
    validation: EncodedSplit,
    *,
    words: Sequence[str],
    targets: TrainingTargets,
    row_weights: np.ndarray,
    regularization: Sequence[float],
    on_fit: FitCallback = ignore_fit,
) -> WideBranch:
    """Fit with and without character n-grams for each regularization; return the fit with the lowest validation loss.

    Character n-grams help short texts, in which most words are rare, and harm long ones.

    Args:
        words: the vocabulary by token id.
        targets: of the training texts.
        regularization: values of C, the inverse strength.
        on_fit: called after each fit.
    """
    inputs = wide_inputs(train, validation, words, weight_columns(targets.mixed_NC.shape[1]))
    ratios_FK = log_count_ratios(inputs.features, targets.mixed_NC)

    def candidates(
        name: str, inputs: WideInputs, values: Sequence[float], start: LogisticFit | None
    ) -> Iterator[Candidate]:
        prior_scale_FK = ratios_FK[: inputs.features.shape[1]]
        for value in values:
            candidate = fit_candidate(inputs, targets, row_weights, prior_scale_FK, value, start)
            start = candidate.fit
            on_fit(f"wide branch {name}, C = {value:g}: validation loss {candidate.loss:.4f}")
            yield candidate

    best = first_minimum(candidates("with character n-grams", inputs, sorted(regularization), None))
    weaker = [value for value in sorted(regularization) if value >= best.regularization]
    words_only = inputs.without_char_ngrams()
    without = first_minimum(candidates("of words only", words_only, weaker, best.fit))
    return _branch(without.fit, words_only) if without.loss < best.loss else _branch(best.fit, inputs)


def _branch(fit: LogisticFit, inputs: WideInputs) -> WideBranch:
    columns, char_ngrams, table = inputs.columns, inputs.features.char_ngrams, inputs.table
    term_w, char_w = np.split(fit.weights_FK, [len(columns)])
    vocabulary_size = char_ngrams.shape[0]
    weights = np.zeros((vocabulary_size + len(table), term_w.shape[1]), np.float32)
    weights[columns] = term_w
    return WideBranch(
        word_weights=weights[:vocabulary_size],
        ngram_weights=weights[vocabulary_size:],
        ngram_ids=table.ngram_ids,
        char_ngram_weights=(char_ngrams @ char_w).astype(np.float32),
        char_ngram_counts=np.asarray(char_ngrams.sum(axis=1)).ravel().astype(np.float32),
        intercept=fit.intercept_K,
    )
