"""From the predictions of the cells to a table and a plot.

The intervals cover the draws and the test rows: each resample draws both with replacement, the same for all models.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from atnet.evaluation.bootstrap import Interval
from atnet.formatting import markdown_table
from benchmarks.accuracy.scores import ModelScores, accuracy_difference, score_models
from benchmarks.learning_curve.cells import ALL, Cell, SplitData
from benchmarks.learning_curve.models import ATNET, ATNET_PRETRAINED, MODELS

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes

COLORS = dict(
    zip(
        [model.name for model in MODELS],
        ["#b0b7bf", "#7d8590", "#22272e", "#c98a1b", "#8a5fb0", "#7fb2e5", "#1f5fa8"],
        strict=True,
    )
)
TITLES = {model.name: model.title for model in MODELS}
Curve = Mapping[tuple[str, int], Mapping[str, ModelScores]]
"""Dataset, size -> model -> scores."""


def score_cells(cells: Sequence[Cell]) -> Curve:
    """Score the models of each dataset and size; a model without all its draws is left out."""
    predicted: dict[tuple[str, int], dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    data: dict[str, SplitData] = {}
    draws: dict[tuple[str, int], set[int]] = defaultdict(set)
    for cell in cells:
        key, probabilities = (cell.data.name, cell.size), cell.load()
        draws[key].add(cell.draw)
        data[cell.data.name] = cell.data
        if probabilities is not None:
            predicted[key][cell.model.name].append(probabilities)
    complete = {
        key: {name: values for name, values in models.items() if len(values) == len(draws[key])}
        for key, models in predicted.items()
    }
    return {
        (name, size): score_models(data[name].actual_N, models, paired_seeds=True)
        for (name, size), models in complete.items()
        if models
    }


def curve_table(curve: Curve) -> str:
    """Write the accuracies with intervals, a table per dataset."""
    parts = []
    for dataset in dict.fromkeys(name for name, _ in curve):
        sizes = [size for name, size in curve if name == dataset]
        names = [name for name in TITLES if any(name in curve[dataset, size] for size in sizes)]
        rows = [[TITLES[name], *(_accuracy(curve[dataset, size].get(name)) for size in sizes)] for name in names]
        rows += [
            [f"{TITLES[name]}: difference from the best other", *(_lead(curve[dataset, size], name) for size in sizes)]
            for name in (ATNET, ATNET_PRETRAINED)
            if name in names
        ]
        heads = [f"{size:,}" if size != ALL else "all" for size in sizes]
        parts.append(f"**{dataset}**, accuracy in % by training rows\n\n{markdown_table(['model', *heads], rows)}")
    return "\n\n".join(parts)


def draw_curve(curve: Curve, rows: Mapping[str, int], path: Path) -> None:
    """Draw a panel per dataset.

    Args:
        curve: the scores.
        rows: training rows of each dataset, where size ALL is drawn.
        path: the SVG file.
    """
    datasets = list(dict.fromkeys(name for name, _ in curve))
    with matplotlib.rc_context({"svg.hashsalt": "learning-curve", "svg.fonttype": "none", "font.size": 9}):
        columns = min(2, len(datasets))
        lines = -(-len(datasets) // columns)
        figure, panels = pyplot.subplots(lines, columns, figsize=(5.2 * columns, 3.8 * lines), layout="constrained")
        for axes in np.atleast_1d(panels).ravel()[len(datasets) :]:
            axes.set_axis_off()
        for axes, dataset in zip(np.atleast_1d(panels).ravel(), datasets, strict=False):
            sizes = {size or rows[dataset]: scores for (name, size), scores in curve.items() if name == dataset}
            for name in TITLES:
                _draw_model(axes, name, {size: scores[name] for size, scores in sizes.items() if name in scores})
            axes.set(title=dataset, xscale="log", xlabel="training rows", ylabel="test accuracy (%)")
            axes.set_xticks(list(sizes), [f"{size:,}" for size in sizes], minor=False)
            axes.minorticks_off()
            axes.spines[["top", "right"]].set_visible(False)
        handles, titles = np.atleast_1d(panels).ravel()[0].get_legend_handles_labels()
        figure.legend(handles, titles, loc="outside lower center", ncols=2, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _draw_model(axes: Axes, name: str, points: Mapping[int, ModelScores]) -> None:
    if not points:
        return
    values = np.array([[100 * bound for bound in _bounds(score.accuracy)] for score in points.values()])
    axes.errorbar(
        list(points),
        values[:, 0],
        yerr=np.abs(values[:, 1:] - values[:, :1]).T,
        marker="o",
        markersize=3,
        capsize=2,
        linewidth=2 if name == ATNET_PRETRAINED else 1,
        color=COLORS[name],
        label=TITLES[name],
    )


def _accuracy(score: ModelScores | None) -> str:
    return "" if score is None else _percent(score.accuracy, "{:.1f}")


def _lead(scores: Mapping[str, ModelScores], name: str) -> str:
    """Compare a form of AtNet with the best model that is none."""
    others = [other for other in scores if other not in (ATNET, ATNET_PRETRAINED)]
    if name not in scores or not others:
        return ""
    best = max(others, key=lambda other: scores[other].accuracy.value)
    return _percent(accuracy_difference(scores[name], scores[best]), "{:+.1f}")


def _percent(value: Interval, form: str) -> str:
    number, low, high = (form.format(100 * bound) for bound in _bounds(value))
    return f"{number} ({low} to {high})"


def _bounds(value: Interval) -> tuple[float, float, float]:
    return value.value, value.low, value.high
