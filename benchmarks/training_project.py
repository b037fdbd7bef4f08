"""Time the project's own training: `python -m benchmarks.training_project <project folder> <epochs>`.

The same `Trainer` with the same settings as stage `train`, without MLflow and the export. The last line printed is
JSON, as `benchmarks.training` reads it.
"""

import argparse
import contextlib
import json
import os
import time
from pathlib import Path

from benchmarks.training_floor import operations_per_token

STARTED = float(os.environ.get("ATNET_BENCHMARK_STARTED") or time.time())


def main() -> None:
    """Train and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("epochs", type=int)
    arguments = parser.parse_args()
    import numpy as np

    from atnet.files import PARAMS_FILE
    from atnet.network.device import choose_device
    from atnet.network.training import Trainer
    from atnet.network.training_inputs import TrainingInputs
    from atnet.network.training_state import TrainingState
    from atnet.storage import load_params
    from atnet.text.encoded_split import training_batches

    config = load_params(arguments.project / PARAMS_FILE).train.model_copy(update={"epochs": arguments.epochs})
    loaded = time.perf_counter()
    inputs = TrainingInputs.load(arguments.project)
    data = inputs.training_data(config)
    trainer = Trainer(config, data, precision=choose_device().precision(config))
    setup = time.perf_counter() - loaded
    timer = EpochTimer()
    trainer.run(TrainingState(), on_epoch=timer.on_epoch, on_step=timer.on_step)
    batches = training_batches(
        inputs.train.lengths, batch_size=config.batch_size, bucketed=config.length_buckets, rng=np.random.default_rng(0)
    )
    print(
        json.dumps(
            {
                "rows": len(inputs.train),
                "tokens": int(sum(inputs.train.padded(rows, data.pad_to).size for rows in batches)),
                "setup_seconds": setup,
                "anonymous_bytes": timer.anonymous_bytes,
                "epochs": timer.epochs,
                "operations": operations_per_token(config.embedding_dimensions, config.filters, config.kernel_size),
            }
        )
    )


class EpochTimer:
    """Records when the steps of an epoch ended, and when its validation did."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.anonymous_bytes = 0
        self._started = self._epoch_started = self._steps_ended = time.perf_counter()

    def on_step(self, done: int, steps: int, loss: float) -> None:
        """Record the end of the last step."""
        if done == steps:
            self._steps_ended = time.perf_counter()
            self.anonymous_bytes = anonymous_bytes()

    def on_epoch(self, state: object) -> None:
        """Record the end of an epoch."""
        now = time.perf_counter()
        self.epochs.append(
            {
                "train_seconds": self._steps_ended - self._epoch_started,
                "since_training": now - self._started,
                "since_start": time.time() - STARTED,
                "accuracy": state.history[-1].validation_accuracy,  # type: ignore[attr-defined]
            }
        )
        self._epoch_started = time.perf_counter()


def anonymous_bytes() -> int:
    """Return how much of this process's memory is not memory-mapped files; 0 if the system does not report it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
