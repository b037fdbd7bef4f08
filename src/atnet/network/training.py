"""The training of AtNet: epochs, early stopping, and a state from which an interrupted training goes on.

Every random choice follows from the seed and the epoch, so the same inputs give the same weights, interrupted or not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import tensorflow as tf

from atnet.config import TrainConfig
from atnet.errors import ConfigurationError
from atnet.network.model import build_model, with_wide
from atnet.network.sparse_adam import SparseAdam
from atnet.text.encoded_split import (
    EncodedSplit,
    check_splits,
    class_targets,
    ordered_batches,
    row_weights,
    training_batches,
)
from atnet.wide.blending import blended, fit_weights, log_loss
from atnet.wide.branch import WideBranch

VALIDATION_BATCH = 256


Progress = Callable[[int, int, float], None]
"""Called after each step with the steps done, the steps of the epoch and the mean loss so far."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training split gave; losses are in nats per text."""

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that training goes on from after an epoch."""

    history: tuple[Epoch, ...] = ()
    weights: list[np.ndarray] = field(default_factory=list)
    """Network and dropout states, in the model's own order; empty before the first epoch."""
    optimizer: list[np.ndarray] = field(default_factory=list)
    best_weights: list[np.ndarray] = field(default_factory=list)

    @property
    def best(self) -> Epoch:
        """The epoch of the lowest validation loss, the first of them if several are equal."""
        return min(self.history, key=lambda epoch: epoch.validation_loss)

    def is_finished(self, config: TrainConfig) -> bool:
        """Tell whether all epochs are done or the validation loss has stopped falling."""
        if not self.history:
            return False
        last = self.history[-1].epoch
        return last >= config.epochs or last - self.best.epoch >= config.patience


class Trainer:
    """A network, its optimizer and the data it learns from."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        train: EncodedSplit,
        validation: EncodedSplit,
        vocabulary_size: int,
        classes: int,
        pad_to: int | None,
        precision: str,
        vectors: np.ndarray | None = None,
        wide: WideBranch | None = None,
    ) -> None:
        """Build the network from the seed.

        Args:
            pad_to: tokens every text is padded to; None pads a batch to its longest text.
            precision: a Keras dtype policy, as `computation_precision` gives it.
            vectors: (V, D) word vectors to start the embedding from, of the V most frequent tokens; the network takes
                the others for the unknown word. None for an embedding of all tokens that starts from chance.
            wide: the fitted branch that stands beside the network, as `wide_branch` gives it.

        Raises:
            DataContractError: if a split is empty or training has fewer than two labels.
        """
        check_splits(train, validation)
        self.config, self.train, self.validation = config, train, validation
        self.pad_to = pad_to
        self.targets = class_targets(train, classes=classes, soft_target_slope=config.soft_target_slope)
        self.row_weights = row_weights(train, classes=classes, balanced=config.class_weights == "balanced")
        self.wide, self._wide_logits = wide, None if wide is None else wide.logits(validation)
        self._embedded = vocabulary_size if vectors is None else len(vectors)
        keras.utils.set_random_seed(config.seed)
        self.model = self._built(precision)
        if vectors is not None and config.initialize_from_vectors and config.attention != "published":
            self.model.get_layer("embedding").embeddings.assign(vectors)
        self.optimizer = SparseAdam(_schedule(config, self.steps))
        self.optimizer.build(self.model.trainable_variables)
        self._step = _training_step(self.model, self.optimizer, classes)
        self._logits = _inference_step(self.model)

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return -(-len(self.train) // self.config.batch_size)

    def run(
        self,
        state: TrainingState,
        *,
        on_epoch: Callable[[TrainingState], None],
        on_step: Progress,
    ) -> TrainingState:
        """Train from `state` until it is finished; `on_epoch` sees the state after each epoch.

        Raises:
            ConfigurationError: if the loss is no number any more.
        """
        self._restore(state)
        while not state.is_finished(self.config):
            epoch = self._epoch(len(state.history) + 1, on_step)
            if not np.isfinite(epoch.validation_loss):
                raise ConfigurationError(
                    f"The training came apart in epoch {epoch.epoch}: its validation loss is {epoch.validation_loss}. "
                    f"Lower train.learning_rate ({self.config.learning_rate:g})."
                )
            state = self._advanced(state, epoch)
            on_epoch(state)
        return state

    def network(self, state: TrainingState) -> keras.Model:
        """Give the best network of a training in float32, the wide branch beside it."""
        network = self._built("float32")
        network.set_weights(state.best_weights)
        if self.wide is None or self._wide_logits is None:
            return network
        deep = self._validation_logits(_inference_step(network))
        return with_wide(network, self.wide, fit_weights(deep, self._wide_logits, self.validation.labels))

    def _built(self, precision: str) -> keras.Model:
        classes = self.targets.shape[1]
        return build_model(self.config, vocabulary_size=self._embedded, classes=classes, precision=precision)

    def _epoch(self, number: int, on_step: Progress) -> Epoch:
        rng = np.random.default_rng([self.config.seed, number])
        batches = training_batches(
            self.train.lengths, batch_size=self.config.batch_size, bucketed=self._bucketed, rng=rng
        )
        losses, total = [], 0.0
        for step, rows in enumerate(batches, start=1):
            loss = self._step(self.train.padded(rows, self.pad_to), self.targets[rows], self.row_weights[rows])
            losses.append((float(loss), len(rows)))
            total += losses[-1][0]
            on_step(step, self.steps, total / step)
        validation_loss, accuracy = self._validate()
        return Epoch(
            epoch=number,
            learning_rate=float(self.optimizer.learning_rate),
            train_loss=sum(loss * rows for loss, rows in losses) / len(self.train),
            validation_loss=validation_loss,
            validation_accuracy=accuracy,
        )

    @property
    def _bucketed(self) -> bool:
        return self.config.length_buckets and self.pad_to is None

    def _validate(self) -> tuple[float, float]:
        logits, labels = self._validation_logits(self._logits), self.validation.labels
        if self._wide_logits is not None:
            logits = blended(logits, self._wide_logits, fit_weights(logits, self._wide_logits, labels))
        return log_loss(logits, labels), float((logits.argmax(axis=1) == labels).mean())

    def _validation_logits(self, step: Callable[[np.ndarray], tf.Tensor]) -> np.ndarray:
        split = self.validation
        logits = np.zeros((len(split), self.targets.shape[1]), np.float64)
        for rows in ordered_batches(split.lengths, VALIDATION_BATCH):
            logits[rows] = step(split.padded(rows, self.pad_to)).numpy()
        return logits

    def _restore(self, state: TrainingState) -> None:
        if state.history:
            _assign(self._variables, state.weights)
            _assign(self.optimizer.variables, state.optimizer)

    def _advanced(self, state: TrainingState, epoch: Epoch) -> TrainingState:
        history = (*state.history, epoch)
        advanced = replace(
            state, history=history, weights=_values(self._variables), optimizer=_values(self.optimizer.variables)
        )
        if advanced.best is epoch:
            return replace(advanced, best_weights=self.model.get_weights())
        return advanced

    @property
    def _variables(self) -> list[keras.Variable]:
        # model.variables holds the state of dropout's random numbers, model.weights does not.
        return list(self.model.variables)


def computation_precision(config: TrainConfig, cpu_flags: set[str]) -> str:
    """Name the Keras dtype policy to compute in: bfloat16 only where the CPU has instructions for it."""
    has_bfloat16 = bool(cpu_flags & {"avx512_bf16", "amx_bf16", "bf16"})
    wanted = config.precision == "bfloat16" or (config.precision == "auto" and has_bfloat16)
    return "mixed_bfloat16" if wanted else "float32"


def _schedule(config: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if config.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, steps * config.epochs)
    return config.learning_rate


def _training_step(model: keras.Model, optimizer: SparseAdam, classes: int) -> Callable[..., tf.Tensor]:
    # jit_compile=False: XLA is slower than plain graphs for this network on a CPU.
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, classes), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ],
        jit_compile=False,
    )
    def step(tokens: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(tokens, training=True)["logits"]
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(losses * weights)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step  # type: ignore[no-any-return]


def _inference_step(model: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)], jit_compile=False)
    def logits(tokens: tf.Tensor) -> tf.Tensor:
        return model(tokens, training=False)["logits"]

    return logits  # type: ignore[no-any-return]


def _values(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [np.array(variable.value) for variable in variables]


def _assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
