"""The training loop of AtNet: epochs, early stopping, and resuming an interrupted training.

Every random choice follows from the seed and the epoch, so the same inputs give the same weights, interrupted or not.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from atnet.config import TrainConfig
from atnet.errors import ConfigurationError
from atnet.network.compiled_steps import compile_inference_step, compile_training_step
from atnet.network.device import on_cpu
from atnet.network.layers import WordEmbedding
from atnet.network.learning_rate import learning_rate_schedule
from atnet.network.model import add_wide_branch, build_model
from atnet.network.sparse_adam import SparseAdam
from atnet.network.training_inputs import TrainingData
from atnet.network.training_state import Epoch, TrainingState
from atnet.text.encoded_split import (
    EncodedSplit,
    check_splits,
    ordered_batches,
    row_weights,
    training_batches,
)
from atnet.text.training_targets import TrainingTargets, training_targets
from atnet.wide.blending import blend, fit_weights, log_loss

VALIDATION_BATCH = 256
MIN_BATCH = 8
"""Batches of a small training split do not become smaller."""

StepCallback = Callable[[int, int, float], None]
"""Called after each step with the steps done, the steps of the epoch and the mean loss so far."""


class Trainer:
    """A network, its optimizer and its training data."""

    def __init__(self, config: TrainConfig, data: TrainingData, *, precision: str) -> None:
        """Build the network from the seed.

        Args:
            precision: a Keras dtype policy, as `TrainingDevice.precision` returns it.

        Raises:
            DataContractError: if a split is empty or train has fewer than two labels.
        """
        check_splits(data.train, data.validation)
        self.config, self.data = resolve_embedding(config, is_pretrained=data.is_pretrained), data
        targets, self.row_weights = self._targets(data.train)
        self.targets, self.temperature = targets.values, targets.temperature
        self._validation_targets = self._targets(data.validation)
        self._wide_logits = None if data.wide is None else data.wide.logits(data.validation)
        keras.utils.set_random_seed(config.seed)
        self.model = self._build_network(precision)
        if data.vectors is not None and self._starts_from_vectors:
            for layer in self.model.layers:
                if isinstance(layer, WordEmbedding):
                    layer.embeddings.assign(data.vectors)
        self.optimizer = SparseAdam(learning_rate_schedule(config, self.steps))
        self.optimizer.build(self.model.trainable_variables)
        self._training_step = compile_training_step(
            self.model, self.optimizer, data.classes, temperature=targets.temperature
        )
        self._inference_step = compile_inference_step(self.model)

    @property
    def batch_size(self) -> int:
        """Texts per step; fewer than configured where an epoch would have less than `min_steps`."""
        return texts_per_step(self.config, len(self.data.train))

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding; token ids from there on are treated as the unknown word."""
        return self.data.vocabulary_size if self.data.vectors is None else len(self.data.vectors)

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return -(-len(self.data.train) // self.batch_size)

    def run(
        self, state: TrainingState, *, on_epoch: Callable[[TrainingState], None], on_step: StepCallback
    ) -> TrainingState:
        """Train from `state` until it is finished; `on_epoch` gets the state after each epoch.

        Raises:
            ConfigurationError: if the validation loss is not finite.
        """
        self._restore(state)
        while not state.is_finished(self.config):
            epoch = self._run_epoch(len(state.history) + 1, on_step)
            if not np.isfinite(epoch.validation_loss):
                raise ConfigurationError(
                    f"The training diverged: the validation loss of epoch {epoch.epoch} is {epoch.validation_loss}. "
                    f"Lower train.learning_rate ({self.config.learning_rate:g})."
                )
            state = self._next_state(state, epoch)
            on_epoch(state)
        return state

    def network(self, state: TrainingState) -> keras.Model:
        """Build the network of the best epoch in float32 on the CPU, combined with the wide branch."""
        with on_cpu():
            network = self._build_network("float32")
            network.set_weights(state.best_weights)
            if self.data.wide is None or self._wide_logits is None:
                return network
            deep_logits = self._validation_logits(compile_inference_step(network))
            weights = fit_weights(deep_logits, self._wide_logits, self.data.validation.labels)
            return add_wide_branch(network, self.data.wide, weights)

    def _targets(self, split: EncodedSplit) -> tuple[TrainingTargets, np.ndarray]:
        """Return the targets and the row weights (N,) of a split."""
        classes, config = self.data.classes, self.config
        targets = training_targets(split, classes=classes, config=config)
        return targets, row_weights(split, classes=classes, balanced=config.class_weights == "balanced")

    def _build_network(self, precision: str) -> keras.Model:
        data = self.data
        dimensions = data.vectors.shape[1] if data.vectors is not None and self._starts_from_vectors else None
        return build_model(
            self.config,
            vocabulary_size=self.vocabulary_size,
            classes=data.classes,
            dimensions=dimensions,
            precision=precision,
        )

    @property
    def _starts_from_vectors(self) -> bool:
        return self.config.initialize_from_vectors and self.config.attention != "published"

    def _run_epoch(self, number: int, on_step: StepCallback) -> Epoch:
        rng = np.random.default_rng([self.config.seed, number])
        train = self.data.train
        bucketed = self.config.length_buckets and self.data.pad_to is None
        batches = training_batches(train.lengths, batch_size=self.batch_size, bucketed=bucketed, rng=rng)
        losses, total = [], 0.0
        for step, rows in enumerate(batches, start=1):
            loss = self._train_batch(rows)
            losses.append((loss, len(rows)))
            total += loss
            on_step(step, self.steps, total / step)
        network_loss, validation_loss, accuracy = self._validate()
        return Epoch(
            epoch=number,
            learning_rate=float(self.optimizer.learning_rate),
            train_loss=sum(loss * rows for loss, rows in losses) / len(train),
            validation_loss=validation_loss,
            validation_accuracy=accuracy,
            network_validation_loss=network_loss,
        )

    def _train_batch(self, rows: np.ndarray) -> float:
        """Make one step and return the mean loss of the batch before it."""
        tokens = self.data.train.padded(rows, self.data.pad_to)
        return float(self._training_step(tokens, self.targets[rows], self.row_weights[rows]))

    def _validate(self) -> tuple[float, float, float]:
        """Return the network's loss on the validation split, and loss and accuracy combined with the wide branch."""
        return self._validation_scores(self._validation_logits(self._inference_step))

    def _validation_scores(self, logits: np.ndarray) -> tuple[float, float, float]:
        """Compute the three figures from the network's logits (N, C)."""
        labels = self.data.validation.labels
        targets, weights = self._validation_targets
        network_loss = targets.mean_loss(logits, weights)
        if self._wide_logits is not None:
            logits = blend(logits, self._wide_logits, fit_weights(logits, self._wide_logits, labels))
        return network_loss, log_loss(logits, labels), float((logits.argmax(axis=1) == labels).mean())

    def _validation_logits(self, inference_step: Callable[[np.ndarray], tf.Tensor]) -> np.ndarray:
        split = self.data.validation
        logits = np.zeros((len(split), self.data.classes), np.float64)
        for rows in self._validation_batches():
            logits[rows] = inference_step(split.padded(rows, self.data.pad_to)).numpy()
        return logits

    def _validation_batches(self) -> Iterator[np.ndarray]:
        return ordered_batches(self.data.validation.lengths, VALIDATION_BATCH)

    def _restore(self, state: TrainingState) -> None:
        if state.history:
            _assign(self._variables, state.weights)
            _assign(self.optimizer.variables, state.optimizer)

    def _next_state(self, state: TrainingState, epoch: Epoch) -> TrainingState:
        next_state = replace(
            state,
            history=(*state.history, epoch),
            weights=_values(self._variables),
            optimizer=_values(self.optimizer.variables),
        )
        if next_state.best is epoch:
            return replace(next_state, best_weights=self.model.get_weights())
        return next_state

    @property
    def _variables(self) -> list[keras.Variable]:
        # Not model.weights: only model.variables contains the state of dropout's random numbers.
        return list(self.model.variables)


def texts_per_step(config: TrainConfig, rows: int) -> int:
    """Return the batch size for a training split of so many rows."""
    return min(config.batch_size, max(rows // config.min_steps, MIN_BATCH))


def resolve_embedding(config: TrainConfig, *, is_pretrained: bool) -> TrainConfig:
    """Replace `embedding: auto`: pretrained vectors stay as they are, those of the training split are fine-tuned."""
    if config.embedding != "auto":
        return config
    return config.model_copy(update={"embedding": "static" if is_pretrained else "fine_tuned"})


def _values(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [np.array(variable.value) for variable in variables]


def _assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
