"""The wide branch: a linear model over words, pairs and spelling, fitted by itself before the network is trained.

NB-SVM (Wang & Manning 2012) with the logistic loss, to which each word adds what its character n-grams say. Those are
summed up into one number per word once the fit is done, so that at serving time nothing but token ids is needed.

Shapes: N texts, V vocabulary entries, P slots for pairs, F features, K columns (see `answer_columns`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from atnet.blending import fit_temperature, log_loss
from atnet.config import TrainConfig
from atnet.dataset import EncodedSplit, class_targets, row_weights
from atnet.logistic import Fitted, fit_logistic
from atnet.ngrams import (
    FEWEST_TEXTS,
    PairSlots,
    answer_columns,
    distinct_ngrams,
    pair_slots,
    present_ngrams,
    spelling,
)

SMOOTHING = 1.0


@dataclass(frozen=True, slots=True)
class WideBranch:
    """What `WideNgrams` holds."""

    words: np.ndarray
    """(V, K) float32, what a word says."""
    pairs: np.ndarray
    """(P, K) float32, what the pair in a slot says."""
    numbers: np.ndarray
    """(P,) int64, which pair that is; -1 for none."""
    spelling: np.ndarray
    """(V, K) float32, the sum of what a word's character n-grams say."""
    letters: np.ndarray
    """(V,) float32, the number of those n-grams."""
    intercept: np.ndarray
    """(K,) float32."""

    def logits(self, split: EncodedSplit) -> np.ndarray:
        """Answer for the texts of a split as the layer does: (N, C)."""
        slots = PairSlots(self.numbers)
        present = present_ngrams(split, len(self.words), slots)
        words = present[:, : len(self.words)]
        said = (present @ np.concatenate([self.words, self.pairs])) / _root(distinct_ngrams(split))
        said += (words @ self.spelling) / _root(words @ self.letters)
        return both_sides(said + self.intercept)


@dataclass(frozen=True)
class WideFeatures:
    """The features of one split, words and pairs first, then character n-grams.

    The first are present or not, over the root of their number in the text; the n-grams are counted over the text's
    different words, over the root of their number. They are never written out per text: the product with their
    weights goes through the words.
    """

    ngrams: sparse.csr_array
    """(N, F1)."""
    words: sparse.csr_array
    """(N, V) of ones."""
    spelling: sparse.csr_array
    """(V, G) of ones."""

    @property
    def shape(self) -> tuple[int, int]:
        """Give N and F."""
        return self.ngrams.shape[0], self.ngrams.shape[1] + self.spelling.shape[1]

    @cached_property
    def scale(self) -> np.ndarray:
        """(N, 1), one over the root of each text's n-grams of characters."""
        letters = self.words @ np.asarray(self.spelling.sum(axis=1)).ravel()
        scale: np.ndarray = (1 / _root(letters)).astype(np.float32)
        return scale

    @cached_property
    def _transposed(self) -> tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]:
        return self.ngrams.T.tocsr(), self.words.T.tocsr(), self.spelling.T.tocsr()

    def times(self, weights_FK: np.ndarray) -> np.ndarray:
        """Multiply by weights: (N, K)."""
        near, far = np.split(weights_FK, [self.ngrams.shape[1]])
        answers: np.ndarray = self.ngrams @ near + self.scale * (self.words @ (self.spelling @ far))
        return answers

    def back(self, slopes_NK: np.ndarray) -> np.ndarray:
        """Multiply the transposed matrix: (F, K)."""
        ngrams, words, letters = self._transposed
        return np.concatenate([ngrams @ slopes_NK, letters @ (words @ (slopes_NK * self.scale))])


def wide_branch(
    config: TrainConfig, *, train: EncodedSplit, validation: EncodedSplit, words: Sequence[str], classes: int
) -> WideBranch | None:
    """Fit the branch that a training asks for; None where it asks for none.

    Args:
        words: the vocabulary by token id.
    """
    if not config.wide or config.attention == "seed":
        return None
    return fit_wide(
        train,
        validation,
        words=words,
        targets=class_targets(train, classes=classes, soft_target_slope=config.soft_target_slope),
        row_weights=row_weights(train, classes=classes, balanced=config.class_weights == "balanced"),
        strengths=config.wide_regularisation,
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
    """Fit on train, from the smallest strength on until the calibrated validation log-loss rises; keep the best.

    Args:
        words: the vocabulary by token id.
        targets: (N, C) shares of the classes.
        strengths: inverse strengths of regularisation, as C in logistic regression.
    """
    columns = answer_columns(targets.shape[1])
    slots = pair_slots(train, columns)
    present = present_ngrams(train, len(words), slots)
    kept = np.flatnonzero(np.diff(present.tocsc().indptr) >= FEWEST_TEXTS)
    grams = _frequent(spelling(words), present[:, : len(words)])
    features = _features(train, present, kept, grams)
    judged = _features(validation, present_ngrams(validation, len(words), slots), kept, grams)
    leeway = _log_count_ratios(features, targets)
    best, lowest = None, np.inf
    for strength in sorted(strengths):
        fitted = fit_logistic(features, targets, leeway_FK=leeway, strength=strength, weights_N=row_weights, start=best)
        logits = both_sides(fitted.answers(judged))
        # Calibrated: the blend calibrates later, and how sure the branch is by itself does not matter.
        loss = log_loss(logits / fit_temperature(logits, validation.labels), validation.labels)
        if best is not None and loss >= lowest:
            break
        best, lowest = fitted, loss
    assert best is not None
    return _branch(best, kept, grams, slots)


def both_sides(answers: np.ndarray) -> np.ndarray:
    """Give logits (N, C): one column z is (-z/2, z/2)."""
    return answers if answers.shape[1] > 1 else np.concatenate([-answers / 2, answers / 2], axis=1)


def _features(
    split: EncodedSplit, present: sparse.csr_array, kept: np.ndarray, grams: sparse.csr_array
) -> WideFeatures:
    scale = sparse.diags_array(1 / _root(distinct_ngrams(split))[:, 0])
    return WideFeatures(
        ngrams=sparse.csr_array((scale @ present[:, kept]).astype(np.float32)),
        words=sparse.csr_array(present[:, : grams.shape[0]]),
        spelling=grams,
    )


def _frequent(grams: sparse.csr_array, words: sparse.csr_array) -> sparse.csr_array:
    """Keep the n-grams whose words stand in enough texts, counted together."""
    texts = grams.T @ np.asarray(words.sum(axis=0)).ravel()
    return sparse.csr_array(grams[:, np.flatnonzero(texts >= FEWEST_TEXTS)])


def _log_count_ratios(features: WideFeatures, targets: np.ndarray) -> np.ndarray:
    """Compare how often each feature stands in the texts of a class and in the others: (F, K) float32.

    log((p + 1) / |p + 1|) - log((q + 1) / |q + 1|), with p and q the texts that hold the feature.
    """
    ngrams, words, letters = features._transposed
    ones = ngrams.copy()
    ones.data = np.ones_like(ones.data)
    texts = targets.astype(np.float32)
    ratios = []
    for counts in (ones @ texts, letters @ (words @ texts)):
        inside = counts[:, 1:] if targets.shape[1] == 2 else counts
        outside = counts.sum(axis=1, keepdims=True) - inside
        ratios.append(_log_share(inside) - _log_share(outside))
    return np.concatenate(ratios).astype(np.float32)


def _root(counts: np.ndarray) -> np.ndarray:
    root: np.ndarray = np.sqrt(np.maximum(counts, 1))[:, None]
    return root


def _log_share(counts: np.ndarray) -> np.ndarray:
    smoothed = counts.astype(np.float64) + SMOOTHING
    shares: np.ndarray = np.log(smoothed / smoothed.sum(axis=0, keepdims=True))
    return shares


def _branch(fitted: Fitted, kept: np.ndarray, grams: sparse.csr_array, slots: PairSlots) -> WideBranch:
    near, far = np.split(fitted.weights_FK, [len(kept)])
    table = np.zeros((grams.shape[0] + len(slots), near.shape[1]), np.float32)
    table[kept] = near
    return WideBranch(
        words=table[: grams.shape[0]],
        pairs=table[grams.shape[0] :],
        numbers=slots.numbers,
        spelling=(grams @ far).astype(np.float32),
        letters=np.asarray(grams.sum(axis=1)).ravel().astype(np.float32),
        intercept=fitted.intercept_K,
    )
