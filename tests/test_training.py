"""The training loop: it learns, repeats itself to the bit and resumes after an interruption."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atnet.config import Params, TrainConfig
from atnet.errors import ConfigurationError, DataContractError
from atnet.network.checkpoint import load_state, save_state, training_key
from atnet.network.device import cpu_device, gpu_device
from atnet.network.training import Trainer, resolve_embedding
from atnet.network.training_inputs import TrainingData
from atnet.network.training_state import Epoch, TrainingState
from atnet.wide.branch import fit_wide_branch
from tests.encoded import VOCABULARY, WORDS, encoded_split

SMALL = {"embedding_dimensions": 16, "filters": 8, "epochs": 4, "learning_rate": 0.02, "batch_size": 16}
START = TrainingState()


@pytest.fixture
def config(params: Params) -> TrainConfig:
    return params.train.model_copy(update={**SMALL, "soft_target_slope": None})


def make_trainer(
    config: TrainConfig, *, classes: int = 2, pad_to: int | None = None, precision: str = "float32"
) -> Trainer:
    train, validation = encoded_split(200, classes=classes), encoded_split(50, classes=classes, seed=1)
    wide = fit_wide_branch(config, train=train, validation=validation, words=WORDS, classes=classes)
    data = TrainingData(train, validation, VOCABULARY, classes, pad_to, vectors=None, wide=wide)
    return Trainer(config, data, precision=precision)


def run(
    config: TrainConfig,
    state: TrainingState = START,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    **settings: Any,
) -> TrainingState:
    return make_trainer(config, **settings).run(state, on_epoch=on_epoch, on_step=lambda *progress: None)


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def uninterrupted(params: Params) -> TrainingState:
    """Train once with the settings of `config`, for the tests that compare another training with it."""
    return run(params.train.model_copy(update={**SMALL, "soft_target_slope": None}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("embedding", "moved"),
    [
        ("fine_tuned", {"embedding": True}),
        ("static", {"embedding": False}),
        ("two_channels", {"embedding": True, "static_embedding": False}),
    ],
)
def test_the_vectors_set_the_dimension_and_only_fine_tuned_ones_move(
    config: TrainConfig, embedding: str, moved: dict[str, bool]
) -> None:
    vectors = np.random.default_rng(1).normal(size=(VOCABULARY, 6)).astype(np.float32)
    split = encoded_split(60)
    data = TrainingData(split, split, VOCABULARY, 2, None, vectors=vectors)
    changed = config.model_copy(update={"embedding": embedding, "epochs": 1})
    trainer = Trainer(changed, data, precision="float32")
    state = trainer.run(START, on_epoch=lambda state: None, on_step=lambda *progress: None)
    network = trainer.network(state)

    for name, has_moved in moved.items():
        table = np.array(network.get_layer(name).embeddings)
        assert table.shape == vectors.shape
        assert np.array_equal(table, vectors) is not has_moved
    channels = {layer.name for layer in network.layers if "embedding" in layer.name} - {"embedding_dropout"}
    assert channels == set(moved)


def test_auto_keeps_pretrained_vectors_and_fine_tunes_those_of_the_training_split(config: TrainConfig) -> None:
    assert config.embedding == "auto"
    assert resolve_embedding(config, is_pretrained=True).embedding == "static"
    assert resolve_embedding(config, is_pretrained=False).embedding == "fine_tuned"
    tuned = config.model_copy(update={"embedding": "fine_tuned"})
    assert resolve_embedding(tuned, is_pretrained=True).embedding == "fine_tuned"


@pytest.mark.parametrize(("rows", "expected"), [(100, 8), (640, 20), (5000, 128)])
def test_small_splits_get_smaller_batches(params: Params, rows: int, expected: int) -> None:
    split = encoded_split(rows, max_tokens=3)
    trainer = Trainer(params.train, TrainingData(split, split, VOCABULARY, 2, None), precision="float32")
    assert trainer.batch_size == expected
    assert trainer.steps >= min(rows // 8, params.train.min_steps)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns(config: TrainConfig, classes: int) -> None:
    config = config.model_copy(update={"epochs": 12, "patience": 12, "embedding_dropout": 0.0, "dropout": 0.0})
    assert run(config, classes=classes).best.validation_accuracy > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_bits(config: TrainConfig, precision: str) -> None:
    config = config.model_copy(update={"epochs": 2})
    first, second = run(config, precision=precision), run(config, precision=precision)
    assert first.history == second.history
    assert equal(first.best_weights, second.best_weights)
    other = run(config.model_copy(update={"seed": 99}), precision=precision)
    assert not equal(first.best_weights, other.best_weights)


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_bits(
    config: TrainConfig, uninterrupted: TrainingState, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def save_and_die(state: TrainingState) -> None:
        save_state(tmp_path / "state.npz", state)
        if len(state.history) == 2:
            raise Killed

    with pytest.raises(Killed):
        run(config, on_epoch=save_and_die)
    resumed = run(config, load_state(tmp_path / "state.npz"))
    assert resumed.history == uninterrupted.history
    assert equal(resumed.weights, uninterrupted.weights)
    assert equal(resumed.best_weights, uninterrupted.best_weights)


def test_a_damaged_or_missing_checkpoint_starts_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "state.npz").write_bytes(b"PK\x03\x04 truncated")
    assert load_state(tmp_path / "state.npz") == TrainingState()
    assert load_state(tmp_path / "missing.npz") == TrainingState()


def test_a_key_depends_on_settings_and_file_contents(tmp_path: Path) -> None:
    file = tmp_path / "train.arrow"
    file.write_text("first")
    key = training_key("settings", [file])
    assert key == training_key("settings", [file])
    assert key != training_key("other settings", [file])
    file.write_text("second")
    assert key != training_key("settings", [file])


def history(*losses: float) -> tuple[Epoch, ...]:
    return tuple(Epoch(number, 0.001, 0.5, loss, 0.5, 0.5) for number, loss in enumerate(losses, start=1))


def test_training_stops_when_the_validation_loss_stops_falling(config: TrainConfig) -> None:
    config = config.model_copy(update={"epochs": 10, "patience": 2})
    assert not TrainingState(history(0.5, 0.4, 0.45)).is_finished(config)
    state = TrainingState(history(0.5, 0.4, 0.45, 0.41))
    assert state.is_finished(config)
    assert state.best.epoch == 2


def test_gains_below_min_delta_do_not_keep_training_going(config: TrainConfig) -> None:
    config = config.model_copy(update={"epochs": 20, "patience": 3, "min_delta": 0.001})
    small_gains = history(0.5, 0.4, 0.3998, 0.3996, 0.3994)
    assert not TrainingState(small_gains[:4]).is_finished(config)
    assert TrainingState(small_gains).is_finished(config)
    assert TrainingState(small_gains).best.epoch == 5, "the lowest loss is kept all the same"
    assert not TrainingState(small_gains).is_finished(config.model_copy(update={"min_delta": 0.0}))


def test_small_gains_that_add_up_are_a_gain(config: TrainConfig) -> None:
    config = config.model_copy(update={"epochs": 20, "patience": 3, "min_delta": 0.001})
    assert not TrainingState(history(0.5, 0.4, 0.3995, 0.399, 0.3985, 0.398)).is_finished(config)


def test_train_and_validation_loss_of_the_network_are_of_the_same_quantity(config: TrainConfig) -> None:
    config = config.model_copy(update={"epochs": 1, "embedding_dropout": 0.0, "dropout": 0.0, "learning_rate": 1e-9})
    split = encoded_split(64)
    data = TrainingData(split, split, VOCABULARY, 2, None)
    epoch = Trainer(config, data, precision="float32").run(START, on_epoch=lambda _: None, on_step=lambda *_: None).best
    assert epoch.network_validation_loss == pytest.approx(epoch.train_loss, abs=1e-4)


def test_the_best_weights_are_those_of_the_best_epoch(config: TrainConfig) -> None:
    states: list[TrainingState] = []
    final = run(config.model_copy(update={"learning_rate": 0.3}), on_epoch=states.append)
    assert equal(final.best_weights, states[final.best.epoch - 1].best_weights)


def test_published_mode_pads_every_text_to_the_same_length(config: TrainConfig) -> None:
    config = config.model_copy(update={"attention": "published", "epochs": 1})
    assert run(config, pad_to=20).history


@pytest.mark.slow
def test_the_cosine_schedule_decays_to_zero(config: TrainConfig) -> None:
    config = config.model_copy(update={"schedule": "cosine", "patience": 9})
    rates = [epoch.learning_rate for epoch in run(config).history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_bfloat16_is_used_only_where_the_device_has_it(config: TrainConfig) -> None:
    assert cpu_device({"avx2"}).precision(config) == "float32"
    assert cpu_device({"avx512_bf16"}).precision(config) == "mixed_bfloat16"
    assert cpu_device({"amx_bf16"}).precision(config.model_copy(update={"precision": "float32"})) == "float32"
    assert gpu_device("Tesla T4", (7, 5)).precision(config) == "float32"
    assert gpu_device("NVIDIA H100", (9, 0)).precision(config) == "mixed_bfloat16"


def test_a_training_split_with_a_single_label_is_refused(config: TrainConfig) -> None:
    split = encoded_split(20, classes=1)
    with pytest.raises(DataContractError, match="only one label"):
        Trainer(config, TrainingData(split, split, VOCABULARY, 2, None), precision="float32")


def test_a_training_that_diverges_reports_what_to_lower(config: TrainConfig) -> None:
    trainer = make_trainer(config.model_copy(update={"wide": False}))
    trainer.row_weights[:] = np.nan
    with pytest.raises(ConfigurationError, match=r"diverged.*epoch 1.*Lower train.learning_rate"):
        trainer.run(START, on_epoch=lambda state: None, on_step=lambda *progress: None)
