"""Tables of the results of `benchmarks.training`. Imports the standard library only."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Measurement, markdown_table

SPEED_GOAL, TIME_GOAL, MEMORY_GOAL = 4.0, 5.0, 1.0


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a run; seconds are wall time."""

    train_seconds: float
    """Of the steps alone, without validation."""
    since_training: float
    """From the start of the first step to the end of this epoch's validation."""
    since_start: float
    """From the process's start to the same moment."""
    accuracy: float
    """On validation."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a training process reported, and what it cost."""

    rows: int
    tokens: int
    """Of one epoch, padding included."""
    setup_seconds: float
    """From data on disk to the first step, without imports."""
    anonymous_bytes: int
    """Memory at the end of the steps that is not memory-mapped files; 0 if the system does not report it."""
    epochs: tuple[Epoch, ...]
    operations: int
    """Floating-point operations of the matrix products for one padded token, forward and backward."""
    peak_bytes: int

    @classmethod
    def from_report(cls, report: Mapping[str, Any], cost: Measurement) -> "Run":
        """Build a run from the JSON that the process printed and its measured cost."""
        epochs = tuple(Epoch(**epoch) for epoch in report["epochs"])
        return cls(**{**report, "epochs": epochs}, peak_bytes=cost.peak_bytes)

    @property
    def speed(self) -> float:
        """Return the training texts per second of the median epoch."""
        return self.rows / statistics.median(epoch.train_seconds for epoch in self.epochs)

    @property
    def best(self) -> Epoch:
        """Return the first epoch with the best validation accuracy."""
        return max(self.epochs, key=lambda epoch: epoch.accuracy)

    def first_reaching(self, accuracy: float) -> Epoch | None:
        """Return the first epoch at or above a validation accuracy, or None."""
        return next((epoch for epoch in self.epochs if epoch.accuracy >= accuracy), None)


def comparison_report(plain: Sequence[Run], project: Sequence[Run], preparation: float) -> str:
    """Compare speed, time to the plain script's best accuracy and memory; medians over the runs.

    Args:
        plain: runs of the plain script.
        project: runs of the project's training, each after the plain run of the same index.
        preparation: seconds of the stages `tokenize` and `vectors`, which the plain script does inside its process.
    """
    both = (plain, project)
    speeds = [[run.speed for run in runs] for runs in both]
    first = [[run.rows / run.epochs[0].train_seconds for run in runs] for runs in both]
    peaks = [[run.peak_bytes / 1e6 for run in runs] for runs in both]
    accuracies = [f"{100 * _median([run.best.accuracy for run in runs]):.1f}" for runs in both]
    rows = [
        _row("training, texts per second", speeds, f"at least {SPEED_GOAL:g}"),
        _row("… in the first epoch", first),
        _row("peak memory (MB)", peaks, f"at most {MEMORY_GOAL:g}"),
        ["best validation accuracy (%)", *accuracies, "", ""],
    ]
    best = [run.best for run in plain]
    candidates = [run.first_reaching(epoch.accuracy) for run, epoch in zip(project, best, strict=True)]
    reached = [epoch for epoch in candidates if epoch is not None]
    note = ""
    if len(reached) == len(project):
        training = [[epoch.since_training for epoch in epochs] for epochs in (best, reached)]
        process = [[epoch.since_start for epoch in best], [epoch.since_start + preparation for epoch in reached]]
        rows.append(
            _row("time to the plain script's best accuracy (s)", training, f"at most 1/{TIME_GOAL:g}", digits=1)
        )
        rows.append(_row("… from process start, with `tokenize` and `vectors`", process, digits=1))
    else:
        note = " The project did not reach the plain script's best accuracy: use more --own-epochs."
    header = ["IMDB, 400 tokens", "plain Keras script", "this project", "ratio", "goal"]
    count = f"{len(plain)} runs each, alternately; {plain[0].rows:,} training texts, medians."
    return f"{markdown_table(header, rows)}\n\n{count}{note}"


def growth_report(runs: Sequence[Run]) -> str:
    """Show how one epoch's time and memory grow with the rows."""
    header = [
        "rows",
        "steps (s)",
        "ms per row",
        "before the first step (s)",
        "peak memory (MB)",
        "not memory-mapped (MB)",
    ]
    rows = [
        [
            f"{run.rows:,}",
            f"{run.epochs[0].train_seconds:.1f}",
            f"{1000 * run.epochs[0].train_seconds / run.rows:.3f}",
            f"{run.setup_seconds:.1f}",
            f"{run.peak_bytes / 1e6:,.0f}",
            f"{run.anonymous_bytes / 1e6:,.0f}",
        ]
        for run in runs
    ]
    note = ""
    if len(runs) > 1:
        sizes = [run.rows for run in runs]
        time_slope = slope(sizes, [run.epochs[0].train_seconds for run in runs])
        peak_slope = slope(sizes, [run.peak_bytes for run in runs])
        slopes = f"time of the steps {time_slope:.2f}, peak memory {peak_slope:.2f}."
        note = f"\n\nSlope on logarithmic axes (1: linear, 0: flat): {slopes}"
    return f"{markdown_table(header, rows)}{note}"


def floor_report(floor: Mapping[str, Any], runs: Sequence[Run]) -> str:
    """Compare the training's operations per second with those of matrix products alone.

    Args:
        floor: operations per second by product and precision, and the precision of the training.
        runs: of the project.
    """
    products = floor["products"]
    rows = [
        [name, *(f"{rates[precision] / 1e9:,.0f}" for precision in ("float32", "bfloat16"))]
        for name, rates in products.items()
    ]
    run = sorted(runs, key=lambda run: run.speed)[len(runs) // 2]
    seconds = run.rows / run.speed
    work = run.operations * run.tokens
    lines = [
        f"{run.operations / 1e3:.1f} thousand operations per padded token, forward and backward;"
        f" {run.tokens / run.rows:.0f} tokens per text with padding: {work / run.rows / 1e6:.1f} million operations per"
        f" text, {work / 1e12:.2f} trillion per epoch.",
        f"The median epoch takes {seconds:.1f} s: {work / seconds / 1e9:,.1f} GFLOP/s in {floor['precision']}.",
        *(
            f"At the rate of the {name} the products alone would take {work / rates[floor['precision']]:.1f} s: "
            f"the training reaches {work / rates[floor['precision']] / seconds:.0%} of it."
            for name, rates in products.items()
            if name in floor["compared"]
        ),
    ]
    header = ["matrix product", "float32 (GFLOP/s)", "bfloat16 (GFLOP/s)"]
    return f"{markdown_table(header, rows)}\n\n" + "\n".join(f"- {line}" for line in lines)


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit a line through the logarithms: 1 means twice the size has twice the value."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _row(name: str, both: Sequence[Sequence[float]], goal: str = "", digits: int = 0) -> list[str]:
    plain, project = (_median(values) for values in both)
    return [name, f"{plain:,.{digits}f}", f"{project:,.{digits}f}", f"{project / plain:.2f}", goal]
