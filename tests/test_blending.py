"""The two weights of the branches, and the temperature."""

import numpy as np
import pytest

from atnet.wide.blending import blended, fit_temperature, fit_weights, log_loss


def drawn(rows=4000, classes=3, seed=0):
    """Draw labels whose true logits are the sum of two parts."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(2, rows, classes))
    logits = parts[0] * 0.5 + parts[1] * 2.0
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return parts[0], parts[1], labels


def test_the_weights_are_those_the_labels_were_drawn_with():
    deep, wide, labels = drawn()
    weights = fit_weights(deep, wide, labels)
    np.testing.assert_allclose(weights, (0.5, 2.0), rtol=0.15)
    assert log_loss(blended(deep, wide, weights), labels) < log_loss(wide, labels)


def test_a_branch_of_noise_hardly_counts():
    _, wide, labels = drawn()
    noise = np.random.default_rng(9).normal(size=wide.shape) * 3
    assert fit_weights(noise, wide, labels)[0] < 0.1


def test_labels_that_can_be_told_without_fault_do_not_drive_the_weights_to_infinity():
    labels = np.array([0, 1] * 20)
    sure = np.eye(2)[labels] * 4.0
    assert max(fit_weights(sure, sure, labels)) < 10


def test_the_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=share) for share in shares])
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.05)
