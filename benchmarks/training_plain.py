"""AtNet as published in plain Keras on IMDB: `python -m benchmarks.training_plain <project folder> <epochs>`.

Every text padded to 400 words, float32, batches of 32, dense Adam: an untuned script. The last
line printed is JSON, as `benchmarks.training` reads it.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

STARTED = float(os.environ.get("ATNET_BENCHMARK_STARTED") or time.time())
LENGTH, BATCH, EMBEDDING, FILTERS, KERNEL = 400, 32, 128, 64, 5


def main() -> None:
    """Train and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("epochs", type=int)
    arguments = parser.parse_args()
    import keras
    import pandas as pd

    from atnet.files import split_table
    from benchmarks.plain_script import WORDS, arrays, atnet
    from benchmarks.training_floor import operations_per_token
    from benchmarks.training_project import anonymous_bytes

    loaded = time.perf_counter()
    keras.utils.set_random_seed(13)
    train, validation = (
        _rows(pd.read_parquet(arguments.project / split_table(name))) for name in ("train", "validation")
    )
    vectorize = keras.layers.TextVectorization(max_tokens=WORDS, output_sequence_length=LENGTH)
    vectorize.adapt([text for text, _ in train])
    model = atnet(LENGTH)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    train_arrays, validation_arrays = arrays(vectorize, train), arrays(vectorize, validation)
    epochs: list[dict[str, float]] = []
    report: dict[str, Any] = {"rows": len(train), "tokens": len(train) * LENGTH, "epochs": epochs}
    report["setup_seconds"] = time.perf_counter() - loaded
    model.fit(
        *train_arrays,
        validation_data=validation_arrays,
        batch_size=BATCH,
        epochs=arguments.epochs,
        verbose=0,
        callbacks=[_timer(keras, epochs)],
    )
    report["anonymous_bytes"] = anonymous_bytes()
    print(json.dumps({**report, "operations": operations_per_token(EMBEDDING, FILTERS, KERNEL)}))


def _rows(table: Any) -> list[tuple[str, int]]:
    labels = sorted(table["label"].unique())
    return [(text, labels.index(label)) for text, label in zip(table["text"], table["label"], strict=True)]


def _timer(keras: Any, epochs: list[dict[str, float]]) -> Any:
    class EpochTimer(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch_started = time.perf_counter()

        def on_test_begin(self, logs: Any = None) -> None:
            self.steps_ended = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            epochs.append(
                {
                    "train_seconds": self.steps_ended - self.epoch_started,
                    "since_training": now - self.started,
                    "since_start": time.time() - STARTED,
                    "accuracy": float((logs or {})["val_accuracy"]),
                }
            )

    return EpochTimer()


if __name__ == "__main__":
    main()
