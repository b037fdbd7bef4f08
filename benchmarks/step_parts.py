"""What each part of a training step costs, by leaving it out: `python -m benchmarks.step_parts`.

Random tokens, drawn with Zipf's frequencies as words are. The variants take turns, so that a busy machine slows all of
them alike. Prints Markdown.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from atnet.config import TrainConfig
from atnet.environment import prepare_process
from atnet.files import PARAMS_FILE
from atnet.formatting import markdown_table
from atnet.storage import load_params
from benchmarks.measure import machine, system_load, versions
from benchmarks.project_copy import ROOT

TOKENS = 272
"""Tokens of each text, about those of a movie review."""
VOCABULARY, CLASSES, BATCHES, SEED = 30_000, 2, 4, 13
STEPS_IN_A_ROW = 3
"""Steps of a variant before the next one takes its turn."""
BFLOAT16 = "mixed_bfloat16"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "default (128 texts, bfloat16)": {},
    "64 texts": {"batch_size": 64},
    "256 texts": {"batch_size": 256},
    "512 texts": {"batch_size": 512},
    "embedding not trained": {"embedding": "static"},
    "no dropout": {"embedding_dropout": 0.0, "dropout": 0.0},
    "kernel size 1": {"kernel_size": 1},
    "16 filters": {"filters": 16},
    "float32": {"precision": "float32"},
}
Step = Callable[[int], None]


def main() -> None:
    """Measure every variant and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="turns of each variant")
    arguments = parser.parse_args()
    prepare_process()
    from atnet.network.device import choose_device

    choose_device(deterministic=True)
    print("; ".join([machine(), versions("tensorflow-cpu", "keras"), system_load()]), end="\n\n", flush=True)
    train = load_params(ROOT / PARAMS_FILE).train
    configs = {name: train.model_copy(update=dict(changes)) for name, changes in VARIANTS.items()}
    milliseconds = measure(configs, arguments.rounds)
    default = next(iter(milliseconds.values()))
    rows = [[name, f"{value:.3f}", f"{default / value:.2f}"] for name, value in milliseconds.items()]
    print(markdown_table(("variant", "ms per text", "times as fast as the default"), rows))


def measure(configs: Mapping[str, TrainConfig], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of a step, per text, by variant."""
    steps = {name: prepare_step(config) for name, config in configs.items()}
    for step in steps.values():
        step(0)
    seconds: dict[str, list[float]] = {name: [] for name in configs}
    for _ in range(rounds):
        for name, step in steps.items():
            for batch in range(STEPS_IN_A_ROW):
                started = time.perf_counter()
                step(batch)
                seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(times) / configs[name].batch_size for name, times in seconds.items()}


def prepare_step(config: TrainConfig) -> Step:
    """Build a network and return its training step on one of a few batches."""
    import keras

    from atnet.network.compiled_steps import compile_training_step
    from atnet.network.model import build_model
    from atnet.network.sparse_adam import SparseAdam

    keras.utils.set_random_seed(SEED)
    precision = "float32" if config.precision == "float32" else BFLOAT16
    model = build_model(config, vocabulary_size=VOCABULARY, classes=CLASSES, precision=precision)
    optimizer = SparseAdam(config.learning_rate)
    optimizer.build(model.trainable_variables)
    train = compile_training_step(model, optimizer, CLASSES)
    rng = np.random.default_rng(SEED)
    tokens = (rng.zipf(1.3, (BATCHES, config.batch_size, TOKENS)) % VOCABULARY).astype(np.int32)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, (BATCHES, config.batch_size))]
    weights = np.ones(config.batch_size, np.float32)

    def step(batch: int) -> None:
        # Reading the loss waits for the end of the step.
        train(tokens[batch], targets[batch], weights).numpy()

    return step


if __name__ == "__main__":
    main()
