"""The training of one of several workers: its share of each batch, with the gradients of all.

Shapes: N texts, B texts of a batch, U distinct token ids of a batch, C classes.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np

from atnet.config import TrainConfig
from atnet.network.collectives import Collectives
from atnet.network.compiled_steps import compile_parallel_step
from atnet.network.training import StepCallback, Trainer
from atnet.network.training_inputs import TrainingData
from atnet.network.training_state import Epoch, TrainingState

SEED_STRIDE = 0x9E3779B1
"""Distance of the dropout seeds of two workers: their masks must differ."""


class ParallelTrainer(Trainer):
    """A `Trainer` that shares batches and validation with other workers.

    Every worker has all rows and the whole network, and draws the same batches. The states of all workers are the same,
    apart from the dropout seeds; the chief's are saved.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        *,
        precision: str,
        collectives: Collectives,
        wide_logits: np.ndarray | None = None,
    ) -> None:
        """Build the network as a single worker does.

        Args:
            data: without the wide branch.
            wide_logits: (N, C) of the validation split; only the chief needs them.
        """
        super().__init__(config, data, precision=precision)
        self._wide_logits, self._collectives = wide_logits, collectives
        self._parallel_step = compile_parallel_step(
            self.model, self.optimizer, collectives.strategy, data.classes, temperature=self.temperature
        )

    def run(
        self, state: TrainingState, *, on_epoch: Callable[[TrainingState], None], on_step: StepCallback
    ) -> TrainingState:
        """Train from the chief's state until it is finished."""
        return super().run(self._chief_state(state), on_epoch=on_epoch, on_step=on_step)

    def _train_batch(self, rows: np.ndarray) -> float:
        tokens = self.data.train.padded(rows, self.data.pad_to)
        share, weights = worker_share(
            self.row_weights[rows] / len(rows), self._collectives.index, self._collectives.size
        )
        token_ids_U = distinct_tokens(tokens, self.vocabulary_size)
        return float(self._parallel_step(tokens[share], self.targets[rows[share]], weights, token_ids_U))

    def _validation_batches(self) -> Iterator[np.ndarray]:
        for number, rows in enumerate(super()._validation_batches()):
            if number % self._collectives.size == self._collectives.index:
                yield rows

    def _validate(self) -> tuple[float, float, float]:
        logits = self._collectives.sum(self._validation_logits(self._inference_step))
        scores = self._validation_scores(logits) if self._collectives.is_chief else (0.0, 0.0, 0.0)
        # The chief's, exactly: another processor's rounding could end the training of one worker and not of another.
        network_loss, loss, accuracy = self._collectives.broadcast(np.array(scores)).tolist()
        return network_loss, loss, accuracy

    def _chief_state(self, state: TrainingState) -> TrainingState:
        """Return the state that the chief has read, for a worker without the checkpoint."""
        text = json.dumps([asdict(epoch) for epoch in state.history]).encode()
        received = self._collectives.broadcast(np.frombuffer(text, np.uint8)).astype(np.uint8).tobytes()
        history = tuple(Epoch(**epoch) for epoch in json.loads(received))
        if not history:
            return state
        current = [np.array(variable.value) for variable in (*self._variables, *self.optimizer.variables)]
        arrays = [*state.weights, *state.optimizer] if self._collectives.is_chief else current
        flat = self._collectives.broadcast(np.concatenate([np.ravel(array).astype(np.float64) for array in arrays]))
        ends = np.cumsum([array.size for array in current])[:-1]
        parts = [
            part.reshape(array.shape).astype(array.dtype)
            for part, array in zip(np.split(flat, ends), current, strict=True)
        ]
        weights = len(self._variables)
        return TrainingState(history, parts[:weights], parts[weights:], state.best_weights)

    def _restore(self, state: TrainingState) -> None:
        super()._restore(state)
        for layer in self.model.layers:
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                seed, counter = np.array(generator.state.value).tolist()
                generator.state.assign([(seed + SEED_STRIDE * self._collectives.index) % 2**32, counter])


def worker_share(weights_B: np.ndarray, index: int, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows of a batch a worker takes, every `workers`-th, and their weights.

    A worker without a row takes the first one with weight 0: an empty batch would have no length, and a row from
    elsewhere would change the embedding of words that do not occur.
    """
    share = np.arange(index, len(weights_B), workers)
    if len(share) == 0:
        return np.zeros(1, np.int64), np.zeros(1, np.float32)
    return share, weights_B[share]


def distinct_tokens(tokens_BT: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Return the sorted ids of a batch, (U,) int32; ids beyond the vocabulary are the unknown word, id 1."""
    occurs = np.zeros(vocabulary_size, bool)
    occurs[np.where(tokens_BT < vocabulary_size, tokens_BT, 1)] = True
    return np.flatnonzero(occurs).astype(np.int32)
