"""The wide branch: a linear model over words, runs and spelling, fitted by itself before the network is trained.

NB-SVM (Wang & Manning 2012) with the logistic loss, to which each word adds what its character n-grams say. Those are
summed up into one number per word once the fit is done, so that at serving time nothing but token ids is needed.

Shapes: N texts, V vocabulary entries, R slots for runs of words, F features, K columns (see `answer_columns`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse

from atnet.config import TrainConfig
from atnet.text.encoded_split import EncodedSplit, check_splits, class_targets, row_weights
from atnet.text.ngrams import (
    FEWEST_TEXTS,
    TEXTS_AT_ONCE,
    NgramHashTable,
    answer_columns,
    distinct_ngrams,
    ngram_hash_table,
    present_ngrams,
    spelling,
)
from atnet.wide.blending import fit_temperature, log_loss
from atnet.wide.logistic import Fitted, fit_logistic
from atnet.wide.ngram_features import frequent_grams, log_count_ratios, root, wide_features


@dataclass(frozen=True, slots=True)
class WideBranch:
    """What `WideNgrams` holds."""

    words: np.ndarray
    """(V, K) float32, what a word says."""
    runs: np.ndarray
    """(R, K) float32, what the run in a slot says."""
    numbers: np.ndarray
    """(R,) int64, which run that is; -1 for none."""
    spelling: np.ndarray
    """(V, K) float32, the sum of what a word's character n-grams say."""
    letters: np.ndarray
    """(V,) float32, the number of those n-grams."""
    intercept: np.ndarray
    """(K,) float32."""

    @property
    def longest(self) -> int:
        """Words of the longest run."""
        return NgramHashTable(self.numbers).longest

    def logits(self, split: EncodedSplit) -> np.ndarray:
        """Answer for the texts of a split as the layer does: (N, C)."""
        weights = np.concatenate([self.words, self.runs])
        rows = np.arange(len(split))
        parts = (rows[start : start + TEXTS_AT_ONCE] for start in range(0, len(rows), TEXTS_AT_ONCE))
        return np.concatenate([self._part(split.taken(part), weights) for part in parts])

    def _part(self, split: EncodedSplit, weights: np.ndarray) -> np.ndarray:
        slots = NgramHashTable(self.numbers)
        present = present_ngrams(split, len(self.words), slots)
        words = present[:, : len(self.words)]
        said = (present @ weights) / root(distinct_ngrams(split, slots.longest))
        said += (words @ self.spelling) / root(words @ self.letters)
        return binary_to_two_logits(said + self.intercept)


class Attempt(NamedTuple):
    """One fit, and what it is worth."""

    fitted: Fitted
    strength: float
    loss: float


def wide_branch(
    config: TrainConfig, *, train: EncodedSplit, validation: EncodedSplit, words: Sequence[str], classes: int
) -> WideBranch | None:
    """Fit the branch that a training asks for, on `wide_max_tokens` tokens of each split; None where it asks for none.

    Args:
        words: the vocabulary by token id.

    Raises:
        DataContractError: if a split is empty or train has fewer than two labels.
    """
    check_splits(train, validation)
    if not config.wide or config.attention == "published":
        return None
    train, validation = train.sampled(config.wide_max_tokens), validation.sampled(config.wide_max_tokens)
    return fit_wide(
        train,
        validation,
        words=words,
        targets=class_targets(train, classes=classes, soft_target_slope=config.soft_target_slope),
        row_weights=row_weights(train, classes=classes, balanced=config.class_weights == "balanced"),
        strengths=config.wide_regularization,
    )


def fit_wide(
    train: EncodedSplit,
    validation: EncodedSplit,
    *,
    words: Sequence[str],
    targets: np.ndarray,
    row_weights: np.ndarray,
    strengths: Sequence[float],
) -> WideBranch:
    """Fit on train with and without spelling, for each strength; keep what has the lowest calibrated validation loss.

    Spelling helps short texts, in which most words are rare, and harms long ones.

    Args:
        words: the vocabulary by token id.
        targets: (N, C) shares of the classes.
        strengths: inverse strengths of regularization, as C in logistic regression.
    """
    columns = answer_columns(targets.shape[1])
    slots = ngram_hash_table(train, columns)
    present = present_ngrams(train, len(words), slots)
    kept = np.flatnonzero(np.diff(present.tocsc().indptr) >= FEWEST_TEXTS)
    grams = frequent_grams(spelling(words), present[:, : len(words)])
    features = wide_features(train, present, kept, grams, slots.longest)
    judged = wide_features(validation, present_ngrams(validation, len(words), slots), kept, grams, slots.longest)
    del present
    leeway = log_count_ratios(features, targets)
    unspelt = leeway.copy()
    unspelt[len(kept) :] = 0

    def fits(leeway_FK: np.ndarray, strengths: Sequence[float], start: Fitted | None) -> Iterator[Attempt]:
        for strength in strengths:
            start = fit_logistic(
                features, targets, leeway_FK=leeway_FK, strength=strength, weights_N=row_weights, start=start
            )
            yield Attempt(
                start, strength, _calibrated_loss(binary_to_two_logits(start.answers(judged)), validation.labels)
            )

    spelt = _first_low(fits(leeway, sorted(strengths), None))
    stronger = [strength for strength in sorted(strengths) if strength >= spelt.strength]
    best = min(spelt, _first_low(fits(unspelt, stronger, spelt.fitted)), key=lambda attempt: attempt.loss)
    return _branch(best.fitted, kept, grams, slots)


def _first_low(attempts: Iterator[Attempt]) -> Attempt:
    """Go on while the loss falls."""
    best = next(attempts)
    for attempt in attempts:
        if attempt.loss >= best.loss:
            break
        best = attempt
    return best


def _calibrated_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    # The blend calibrates later; how sure the branch is by itself does not matter.
    return log_loss(logits / fit_temperature(logits, labels), labels)


def binary_to_two_logits(answers: np.ndarray) -> np.ndarray:
    """Give logits (N, C): one column z is (-z/2, z/2)."""
    return answers if answers.shape[1] > 1 else np.concatenate([-answers / 2, answers / 2], axis=1)


def _branch(fitted: Fitted, kept: np.ndarray, grams: sparse.csr_array, slots: NgramHashTable) -> WideBranch:
    near, far = np.split(fitted.weights_FK, [len(kept)])
    table = np.zeros((grams.shape[0] + len(slots), near.shape[1]), np.float32)
    table[kept] = near
    return WideBranch(
        words=table[: grams.shape[0]],
        runs=table[grams.shape[0] :],
        numbers=slots.numbers,
        spelling=(grams @ far).astype(np.float32),
        letters=np.asarray(grams.sum(axis=1)).ravel().astype(np.float32),
        intercept=fitted.intercept_K,
    )
