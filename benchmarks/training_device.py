"""Time of a training step on the device that stage `train` chooses: `python -m benchmarks.training_device`.

Random tokens, drawn with Zipf's frequencies as words are. `CUDA_VISIBLE_DEVICES=-1` measures the CPU of a machine with
a GPU. Prints Markdown.
"""

import argparse
import os
import statistics
import time
from dataclasses import dataclass

import numpy as np

from atnet.config import TrainConfig
from atnet.environment import prepare_process
from atnet.files import PARAMS_FILE
from atnet.storage import load_params
from benchmarks.project_copy import ROOT

TOKENS = 64
"""Tokens of each text."""
VOCABULARY = 30_000
CLASSES = 2
BATCHES = 8
"""Different batches, used in turn."""
PRECISIONS = ("float32", "mixed_bfloat16")


@dataclass(frozen=True, slots=True)
class Size:
    """A batch and a network."""

    batch_size: int
    dimensions: int
    filters: int


def main() -> None:
    """Measure every size in both precisions and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 1024])
    parser.add_argument("--networks", nargs="+", default=["100x64", "300x512"], help="embedding dimensions x filters")
    parser.add_argument("--steps", type=int, default=20, help="steps that are measured")
    parser.add_argument("--nondeterministic", action="store_true", help="on a GPU: a seed may give other weights")
    arguments = parser.parse_args()
    prepare_process()
    import tensorflow as tf

    from atnet.network.device import choose_device

    device = choose_device(deterministic=not arguments.nondeterministic)
    print(f"{device.name}, {os.cpu_count()} cores, TensorFlow {tf.__version__}\n")
    print("| embedding x filters | batch | float32, ms | bfloat16, ms |\n|---|---:|---:|---:|", flush=True)
    for network in arguments.networks:
        dimensions, _, filters = network.partition("x")
        for batch_size in arguments.batch_sizes:
            size = Size(batch_size, int(dimensions), int(filters))
            cells = [f"{1000 * median_step(size, precision, arguments.steps):.1f}" for precision in PRECISIONS]
            print(f"| {network.replace('x', ' x ')} | {batch_size:,} | {' | '.join(cells)} |", flush=True)


def median_step(size: Size, precision: str, steps: int) -> float:
    """Return the median seconds of a training step."""
    import keras

    from atnet.network.compiled_steps import compile_training_step
    from atnet.network.model import build_model
    from atnet.network.sparse_adam import SparseAdam

    keras.utils.set_random_seed(13)
    model = build_model(train_config(size), vocabulary_size=VOCABULARY, classes=CLASSES, precision=precision)
    optimizer = SparseAdam(0.003)
    optimizer.build(model.trainable_variables)
    step = compile_training_step(model, optimizer, CLASSES)
    rng = np.random.default_rng(13)
    tokens = (rng.zipf(1.3, (BATCHES, size.batch_size, TOKENS)) % VOCABULARY).astype(np.int32)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, (BATCHES, size.batch_size))]
    weights = np.ones(size.batch_size, np.float32)
    seconds = []
    for number in range(steps + BATCHES):
        batch = number % BATCHES
        started = time.perf_counter()
        float(step(tokens[batch], targets[batch], weights))
        seconds.append(time.perf_counter() - started)
    # Without the first steps, in which the graph is traced and kernels are loaded.
    return statistics.median(seconds[BATCHES:])


def train_config(size: Size) -> TrainConfig:
    """Return the committed settings with this network, without vectors to start from."""
    changes = {
        "embedding_dimensions": size.dimensions,
        "filters": size.filters,
        "embedding": "fine_tuned",
        "initialize_from_vectors": False,
    }
    return load_params(ROOT / PARAMS_FILE).train.model_copy(update=changes)


if __name__ == "__main__":
    main()
