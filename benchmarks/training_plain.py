"""The rival on IMDB: `python -m benchmarks.training_plain <splits> <epochs>`, AtNet as published in plain Keras.

Every text padded to 400 words, float32, batches of 32, dense Adam: what a script does that nobody has tuned. The last
line printed is JSON, as `benchmarks.training` reads it.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

BEGUN = float(os.environ.get("ATNET_BENCHMARK_BEGUN") or time.time())
LENGTH, BATCH, EMBEDDING, FILTERS, KERNEL = 400, 32, 128, 64, 5


def main() -> None:
    """Train and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("splits", type=Path)
    parser.add_argument("epochs", type=int)
    arguments = parser.parse_args()
    import keras
    import pandas as pd

    from benchmarks.plain_script import WORDS, arrays, atnet
    from benchmarks.training_floor import operations_per_token
    from benchmarks.training_project import anonymous_bytes

    loaded = time.perf_counter()
    keras.utils.set_random_seed(13)
    train, validation = (
        _rows(pd.read_parquet(arguments.splits / f"{name}.parquet")) for name in ("train", "validation")
    )
    vectorize = keras.layers.TextVectorization(max_tokens=WORDS, output_sequence_length=LENGTH)
    vectorize.adapt([text for text, _ in train])
    model = atnet(LENGTH)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    learned, judged = arrays(vectorize, train), arrays(vectorize, validation)
    epochs: list[dict[str, float]] = []
    told: dict[str, Any] = {"rows": len(train), "tokens": len(train) * LENGTH, "epochs": epochs}
    told["setup_seconds"] = time.perf_counter() - loaded
    model.fit(
        *learned,
        validation_data=judged,
        batch_size=BATCH,
        epochs=arguments.epochs,
        verbose=0,
        callbacks=[_watch(keras, epochs)],
    )
    told["anonymous_bytes"] = anonymous_bytes()
    print(json.dumps({**told, "operations": operations_per_token(EMBEDDING, FILTERS, KERNEL)}))


def _rows(table: Any) -> list[tuple[str, int]]:
    labels = sorted(table["label"].unique())
    return [(text, labels.index(label)) for text, label in zip(table["text"], table["label"], strict=True)]


def _watch(keras: Any, epochs: list[dict[str, float]]) -> Any:
    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.begun = time.perf_counter()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch_begun = time.perf_counter()

        def on_test_begin(self, logs: Any = None) -> None:
            self.stepped = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            epochs.append(
                {
                    "train_seconds": self.stepped - self.epoch_begun,
                    "since_training": now - self.begun,
                    "since_begun": time.time() - BEGUN,
                    "accuracy": float((logs or {})["val_accuracy"]),
                }
            )

    return Watch()


if __name__ == "__main__":
    main()
