"""The project's own training, timed: `python -m benchmarks.training_project <tokens> <vectors> <params> <epochs>`.

The same `Trainer` with the same settings as the stage `train`, without MLflow and the export. The last line printed is
JSON, as `benchmarks.training` reads it.
"""

import argparse
import contextlib
import json
import os
import time
from pathlib import Path

from benchmarks.training_floor import operations_per_token

BEGUN = float(os.environ.get("ATNET_BENCHMARK_BEGUN") or time.time())


def main() -> None:
    """Train and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("tokens", "vectors", "params"):
        parser.add_argument(name, type=Path)
    parser.add_argument("epochs", type=int)
    arguments = parser.parse_args()
    import numpy as np

    from atnet.network.compiled_steps import computation_precision
    from atnet.network.training import Trainer
    from atnet.network.training_inputs import TrainingInputs
    from atnet.network.training_state import TrainingState
    from atnet.storage import cpu_flags, load_params
    from atnet.text.encoded_split import training_batches

    config = load_params(arguments.params).train.model_copy(update={"epochs": arguments.epochs})
    loaded = time.perf_counter()
    files = TrainingInputs.load(arguments.tokens, arguments.vectors)
    trainer = Trainer(config, files.training_data(config), precision=computation_precision(config, cpu_flags()))
    setup = time.perf_counter() - loaded
    watch = Watch()
    trainer.run(TrainingState(), on_epoch=watch.epoch, on_step=watch.step)
    batches = training_batches(
        files.train.lengths, batch_size=config.batch_size, bucketed=config.length_buckets, rng=np.random.default_rng(0)
    )
    print(
        json.dumps(
            {
                "rows": len(files.train),
                "tokens": int(sum(files.train.padded(rows, trainer.data.pad_to).size for rows in batches)),
                "setup_seconds": setup,
                "anonymous_bytes": watch.anonymous,
                "epochs": watch.epochs,
                "operations": operations_per_token(config.embedding_dimensions, config.filters, config.kernel_size),
            }
        )
    )


class Watch:
    """Notes when the steps of an epoch ended, and when its validation did."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.anonymous = 0
        self._begun = self._epoch_begun = self._stepped = time.perf_counter()

    def step(self, done: int, steps: int, loss: float) -> None:
        """Note the last step."""
        if done == steps:
            self._stepped = time.perf_counter()
            self.anonymous = anonymous_bytes()

    def epoch(self, state: object) -> None:
        """Note the end of an epoch."""
        now = time.perf_counter()
        self.epochs.append(
            {
                "train_seconds": self._stepped - self._epoch_begun,
                "since_training": now - self._begun,
                "since_begun": time.time() - BEGUN,
                "accuracy": state.history[-1].validation_accuracy,  # type: ignore[attr-defined]
            }
        )
        self._epoch_begun = time.perf_counter()


def anonymous_bytes() -> int:
    """Read how much of this process's memory is not a file's; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
