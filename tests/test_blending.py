"""The weights of the two branches, and the temperature."""

import numpy as np
import pytest

from atnet.wide.blending import blend, fit_temperature, fit_weights, log_loss


def sample(rows: int = 4000, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the logits of two branches, and labels from a known weighted sum of them."""
    rng = np.random.default_rng(seed)
    deep, wide = rng.normal(size=(2, rows, classes))
    logits = deep * 0.5 + wide * 2.0
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return deep, wide, labels


def test_the_fitted_weights_are_those_that_generated_the_labels() -> None:
    deep, wide, labels = sample()
    weights = fit_weights(deep, wide, labels)
    np.testing.assert_allclose(weights, (0.5, 2.0), rtol=0.15)
    assert log_loss(blend(deep, wide, weights), labels) < log_loss(wide, labels)


def test_a_branch_of_noise_gets_a_small_weight() -> None:
    _, wide, labels = sample()
    noise = np.random.default_rng(9).normal(size=wide.shape) * 3
    assert fit_weights(noise, wide, labels)[0] < 0.1


def test_perfectly_separable_labels_do_not_drive_the_weights_to_infinity() -> None:
    labels = np.array([0, 1] * 20)
    separable = np.eye(2)[labels] * 4.0
    assert max(fit_weights(separable, separable, labels)) < 10


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in probabilities])
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.05)
