"""The training loop: it learns, it repeats itself to the bit, and it survives being interrupted."""

import numpy as np
import pytest

from atnet.errors import ConfigurationError, DataContractError
from atnet.network.checkpoint import load_state, save_state, training_key
from atnet.network.training import Epoch, Trainer, TrainingState, computation_precision
from atnet.wide.branch import wide_branch
from encoded import VOCABULARY, WORDS, encoded_split

SMALL = {"embedding_dimensions": 16, "filters": 8, "epochs": 4, "learning_rate": 0.02, "batch_size": 16}


@pytest.fixture
def config(params):
    return params.train.model_copy(update={**SMALL, "soft_target_slope": None})


def trainer(config, *, classes=2, pad_to=None, precision="float32"):
    splits = {"train": encoded_split(200, classes=classes), "validation": encoded_split(50, classes=classes, seed=1)}
    return Trainer(
        config,
        **splits,
        vocabulary_size=VOCABULARY,
        classes=classes,
        pad_to=pad_to,
        precision=precision,
        wide=wide_branch(config, **splits, words=WORDS, classes=classes),
    )


BEGINNING = TrainingState()


def run(config, state=BEGINNING, on_epoch=lambda state: None, **settings):
    return trainer(config, **settings).run(state, on_epoch=on_epoch, on_step=lambda *progress: None)


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns(config, classes):
    config = config.model_copy(update={"epochs": 12, "patience": 12, "embedding_dropout": 0.0, "dropout": 0.0})
    assert run(config, classes=classes).best.validation_accuracy > 0.9


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_same_seed_gives_the_same_bits(config, precision):
    config = config.model_copy(update={"epochs": 2})
    first, second = run(config, precision=precision), run(config, precision=precision)
    assert first.history == second.history
    assert equal(first.best_weights, second.best_weights)
    other = run(config.model_copy(update={"seed": 99}), precision=precision)
    assert not equal(first.best_weights, other.best_weights)


def test_an_interrupted_training_ends_with_the_same_bits(config, tmp_path):
    class Killed(Exception):
        pass

    def save_then_die(state):
        save_state(tmp_path / "state.npz", state)
        if len(state.history) == 2:
            raise Killed

    with pytest.raises(Killed):
        run(config, on_epoch=save_then_die)
    resumed = run(config, load_state(tmp_path / "state.npz"))
    whole = run(config)
    assert resumed.history == whole.history
    assert equal(resumed.weights, whole.weights)
    assert equal(resumed.best_weights, whole.best_weights)


def test_a_damaged_checkpoint_starts_again(tmp_path):
    (tmp_path / "state.npz").write_bytes(b"PK\x03\x04 cut short")
    assert load_state(tmp_path / "state.npz") == TrainingState()
    assert load_state(tmp_path / "none.npz") == TrainingState()


def test_a_key_names_settings_and_contents(tmp_path):
    file = tmp_path / "train.arrow"
    file.write_text("one")
    key = training_key("settings", [file])
    assert key == training_key("settings", [file])
    assert key != training_key("other settings", [file])
    file.write_text("two")
    assert key != training_key("settings", [file])


def history(*losses):
    return tuple(Epoch(number, 0.001, 0.5, loss, 0.5) for number, loss in enumerate(losses, start=1))


def test_training_stops_when_validation_loss_no_longer_falls(config):
    config = config.model_copy(update={"epochs": 10, "patience": 2})
    assert not TrainingState(history(0.5, 0.4, 0.45)).is_finished(config)
    state = TrainingState(history(0.5, 0.4, 0.45, 0.41))
    assert state.is_finished(config)
    assert state.best.epoch == 2


def test_the_best_weights_are_those_of_the_best_epoch(config):
    seen = []
    final = run(config.model_copy(update={"learning_rate": 0.3}), on_epoch=seen.append)
    assert equal(final.best_weights, seen[final.best.epoch - 1].best_weights)


def test_seed_mode_pads_every_text_to_the_same_length(config):
    config = config.model_copy(update={"attention": "published", "epochs": 1})
    assert run(config, pad_to=20).history


def test_the_cosine_schedule_falls_towards_zero(config):
    config = config.model_copy(update={"schedule": "cosine", "patience": 9})
    rates = [epoch.learning_rate for epoch in run(config).history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_bfloat16_is_used_only_where_the_cpu_has_it(config):
    assert computation_precision(config, {"avx2"}) == "float32"
    assert computation_precision(config, {"avx512_bf16"}) == "mixed_bfloat16"
    assert computation_precision(config.model_copy(update={"precision": "float32"}), {"amx_bf16"}) == "float32"


def test_one_label_cannot_be_trained_on(config):
    one = encoded_split(20, classes=1)
    with pytest.raises(DataContractError, match="one label only"):
        Trainer(
            config, train=one, validation=one, vocabulary_size=VOCABULARY, classes=2, pad_to=None, precision="float32"
        )


def test_a_training_that_comes_apart_says_what_to_lower(config):
    torn = trainer(config.model_copy(update={"wide": False}))
    torn.row_weights[:] = np.nan
    with pytest.raises(ConfigurationError, match=r"epoch 1.*Lower train.learning_rate"):
        torn.run(BEGINNING, on_epoch=lambda state: None, on_step=lambda *progress: None)
