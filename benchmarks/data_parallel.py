"""Measure training with several workers on random texts: `python -m benchmarks.data_parallel`.

One worker that uses every core against several workers that share them, for each batch size and size of the network:
the time of a step and the CPU time of all its processes, which other work on the machine changes less. Every figure is
the least of `--epochs` passes, after one that is not counted. Prints a Markdown table.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from tokenizers import Tokenizer, models

from atnet.config import TrainConfig
from atnet.environment import prepare_process
from atnet.files import LABELS, PARAMS_FILE, PRETRAINED_VECTORS, TOKENIZER, WORD_VECTORS, encoded_split
from atnet.network.data_parallel import Callbacks, train_in_parallel
from atnet.network.training import Trainer
from atnet.network.training_inputs import TrainingInputs
from atnet.network.training_processes import ParallelTraining
from atnet.network.training_state import TrainingState
from atnet.network.training_worker import ignore_step
from atnet.storage import load_params, write_arrow, write_json
from benchmarks.measure import machine, system_load, versions
from benchmarks.project_copy import ROOT

TOKENS = 40
"""Tokens of each text."""
VOCABULARY = 20_000
CLASSES = 2
VALIDATION_ROWS = 8
"""As few as possible: only training is measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """A batch and a network."""

    batch_size: int
    dimensions: int
    filters: int


@dataclass(frozen=True, slots=True)
class StepCost:
    """The cost of a training step."""

    seconds: float
    cpu_seconds: float
    """Of all processes together."""


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--networks", nargs="+", default=["64x64", "300x512"], help="embedding dimensions x filters")
    parser.add_argument("--steps", type=int, default=20, help="steps of an epoch")
    parser.add_argument("--epochs", type=int, default=3, help="epochs that are measured")
    arguments = parser.parse_args()
    prepare_process()
    print(machine(), versions("tensorflow-cpu", "tensorflow", "keras"), system_load(), sep="; ", end="\n\n", flush=True)
    count = arguments.workers
    print(f"| embedding x filters | batch | 1 worker, ms | {count} workers, ms | 1 worker, CPU ms | {count}, CPU ms |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for size in sizes(arguments.networks, arguments.batch_sizes):
        alone, together = (measure_step(size, workers, arguments) for workers in (1, count))
        cells = [alone.seconds, together.seconds, alone.cpu_seconds, together.cpu_seconds]
        figures = " | ".join(f"{1000 * seconds:.0f}" for seconds in cells)
        print(f"| {size.dimensions} x {size.filters} | {size.batch_size} | {figures} |", flush=True)


def sizes(networks: list[str], batch_sizes: list[int]) -> Iterator[Size]:
    """Combine the networks with the batch sizes."""
    for network in networks:
        dimensions, _, filters = network.partition("x")
        for batch_size in batch_sizes:
            yield Size(batch_size, int(dimensions), int(filters))


def measure_step(size: Size, workers: int, arguments: argparse.Namespace) -> StepCost:
    """Return the least mean cost of a step in an epoch, of all epochs but the first."""
    clocks: list[tuple[float, float]] = []

    def on_epoch(epoch: object) -> None:
        clocks.append((time.perf_counter(), cpu_seconds()))

    config = train_config(size, workers, arguments.epochs + 1)
    with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as folder:
        root = Path(folder)
        write_project(root, size, rows=size.batch_size * arguments.steps)
        if workers == 1:
            data = TrainingInputs.load(root).training_data(config)
            Trainer(config, data, precision="float32").run(TrainingState(), on_epoch=on_epoch, on_step=ignore_step)
        else:
            training = ParallelTraining(config, root, "00" * 16, "float32", root / "state.npz", wide_logits=None)
            train_in_parallel(training, Callbacks(on_epoch, ignore_step))
    seconds, cpu = np.diff(clocks, axis=0).min(axis=0) / arguments.steps
    return StepCost(float(seconds), float(cpu))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children, the workers."""
    process = psutil.Process()
    times = [part.cpu_times() for part in (process, *process.children())]
    return float(sum(part.user + part.system for part in times))


def train_config(size: Size, workers: int, epochs: int) -> TrainConfig:
    """Return the committed settings with this size, without the wide branch and early stopping."""
    changes = {
        "batch_size": size.batch_size,
        "embedding_dimensions": size.dimensions,
        "filters": size.filters,
        "workers": workers,
        "epochs": epochs,
        "patience": epochs,
        "min_steps": 1,
        "wide": False,
        "embedding": "fine_tuned",
    }
    return load_params(ROOT / PARAMS_FILE).train.model_copy(update=changes)


def write_project(root: Path, size: Size, rows: int) -> None:
    """Write random tokens, drawn with Zipf's frequencies as words are, and random vectors."""
    rng = np.random.default_rng(13)
    for file in (TOKENIZER, WORD_VECTORS):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
    words = {f"word{index}": index for index in range(VOCABULARY)}
    Tokenizer(models.WordLevel(words, unk_token="word1")).save(str(root / TOKENIZER))
    write_json(root / LABELS, [f"label{index}" for index in range(CLASSES)])
    np.save(root / PRETRAINED_VECTORS, np.zeros((0, 0), np.float32))
    np.save(root / WORD_VECTORS, rng.normal(scale=0.1, size=(VOCABULARY, size.dimensions)).astype(np.float32))
    for name, texts in (("train", rows), ("validation", VALIDATION_ROWS)):
        tokens = (rng.zipf(1.2, size=(texts, TOKENS)) % (VOCABULARY - 2) + 2).astype(np.int32)
        table = pa.table(
            {
                "tokens": pa.array(list(tokens), pa.list_(pa.int32())),
                "label": pa.array(np.arange(texts) % CLASSES, pa.int32()),
                "text_hash": [f"{row:016x}" for row in range(texts)],
            }
        )
        write_arrow(root / encoded_split(name), table)


if __name__ == "__main__":
    main()
