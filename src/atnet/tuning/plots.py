"""Plots of a search as PNG, which MLflow shows without further libraries."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from atnet.config.tune import SECTION, ParamValue
from atnet.report.figures import BLUE, GRAY, INK, ORANGE, plot_style
from atnet.tuning.trials import HIGHER_IS_BETTER, Objective, TrialResult, current_trial, ranking

DPI = 130
AXIS_LABELS = {"validation_loss": "Validation loss (nats per text)", "validation_accuracy": "Validation accuracy"}
AxisScale = tuple[Callable[[ParamValue], float], list[tuple[float, str]]]
"""Value -> height on its axis (0 to 1), and the heights and labels of the ticks."""


def plot_trials(
    trials: Sequence[TrialResult],
    objective: Objective,
    space: Mapping[str, BaseDistribution],
    importances: Mapping[str, float],
    current: Mapping[str, ParamValue],
) -> dict[str, bytes]:
    """Draw every plot for which there are enough trials: file name -> PNG."""
    best = ranking(trials, objective)
    if not best:
        return {}
    reference = current_trial(trials, dict(current))
    with plot_style("tuning"):
        figures = {"history.png": _history(trials, best, reference, objective)}
        if len(best) > 1:
            figures["parallel_coordinates.png"] = _parallel_coordinates(best, reference, objective, space)
        if importances:
            figures["importances.png"] = _importances(importances, objective)
        return {name: _png(figure) for name, figure in figures.items()}


def _history(
    trials: Sequence[TrialResult], best: Sequence[TrialResult], reference: TrialResult | None, objective: Objective
) -> Figure:
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    complete = sorted(best, key=lambda trial: trial.number)
    numbers = [trial.number for trial in complete]
    values = [trial.best_epoch[objective] for trial in complete]
    best_so_far = (np.maximum if HIGHER_IS_BETTER[objective] else np.minimum).accumulate(values)
    axes.scatter(numbers, values, color=BLUE, s=22, label="complete trial", zorder=3)
    axes.step(numbers, best_so_far, where="post", color=BLUE, linewidth=1.2, label="best so far")
    if reference is not None:
        value = reference.best_epoch[objective]
        axes.axhline(value, color=ORANGE, linestyle="--", linewidth=1, label="current values")
    _mark_pruned(axes, [trial.number for trial in trials if trial.status == "pruned"])
    axes.set(xlabel="Trial", ylabel=AXIS_LABELS[objective], title="Objective by trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def _mark_pruned(axes: Axes, numbers: Sequence[int]) -> None:
    """Mark pruned trials on the lower edge: their values cannot be compared with those of complete trials."""
    if numbers:
        low = axes.get_ylim()[0]
        axes.scatter(numbers, [low] * len(numbers), color=GRAY, marker="x", s=22, label="pruned trial", clip_on=False)
        axes.set_ylim(bottom=low)


def _parallel_coordinates(
    best: Sequence[TrialResult],
    reference: TrialResult | None,
    objective: Objective,
    space: Mapping[str, BaseDistribution],
) -> Figure:
    names = list(space)
    figure = Figure(figsize=(max(6.5, 1.1 * len(names) + 2), 4.6), layout="constrained")
    axes = figure.subplots()
    scales = [_axis_scale(space[name]) for name in names]
    values = [trial.best_epoch[objective] for trial in best]
    colors: Any = ScalarMappable(Normalize(min(values), max(values)), _color_map(objective))
    for trial in reversed(best):
        heights = [height(trial.settings[name]) for name, (height, _) in zip(names, scales, strict=True)]
        is_current = reference is not None and trial.number == reference.number
        _draw_trial(axes, heights, colors.to_rgba(trial.best_epoch[objective]), trial is best[0], is_current)
    for position, (_, ticks) in enumerate(scales):
        axes.axvline(position, color=GRAY, linewidth=0.8, zorder=1)
        for height, label in ticks:
            axes.text(position + 0.03, height, label, fontsize=8, color=INK, va="center", zorder=5, bbox=_label_box())
    axes.set_xticks(range(len(names)), [_wrapped(name.removeprefix(SECTION)) for name in names])
    axes.set(yticks=[], xlim=(-0.1, len(names) - 0.6), ylim=(-0.05, 1.05), title="Settings of the complete trials")
    axes.spines[:].set_visible(False)
    figure.colorbar(colors, ax=axes, label=AXIS_LABELS[objective], pad=0.01)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_trial(axes: Axes, heights: Sequence[float], color: Any, is_best: bool, is_current: bool) -> None:
    axes.plot(
        heights,
        color=ORANGE if is_current else color,
        linewidth=2.6 if is_best else 1.8 if is_current else 1.0,
        linestyle="--" if is_current else "-",
        label=_line_label(is_best, is_current),
        zorder=4 if is_best or is_current else 2,
    )


def _importances(importances: Mapping[str, float], objective: Objective) -> Figure:
    ordered = sorted(importances.items(), key=lambda item: item[1])
    figure = Figure(figsize=(6.5, 0.36 * len(ordered) + 1.3), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([name.removeprefix(SECTION) for name, _ in ordered], [share for _, share in ordered], color=BLUE)
    axes.bar_label(bars, labels=[f"{share:.0%}" for _, share in ordered], padding=3)
    label = f"Share of the variance of the {objective.replace('_', ' ')} (fANOVA)"
    axes.set(xlim=(0, 1), title="Parameter importance", xlabel=label)
    return figure


def _axis_scale(distribution: BaseDistribution) -> AxisScale:
    if isinstance(distribution, CategoricalDistribution):
        return _choice_scale(list(distribution.choices))
    bounds: Any = distribution
    transform: Callable[[float], float] = math.log if bounds.log else float
    low, high = transform(bounds.low), transform(bounds.high)
    width = (high - low) or 1.0
    middle = math.exp((low + high) / 2) if bounds.log else (low + high) / 2
    if isinstance(distribution, IntDistribution):
        middle = round(middle)
    ticks = [
        (bounds.low, _tick_label(bounds.low)),
        (middle, f"{middle:.3g}"),
        (bounds.high, _tick_label(bounds.high)),
    ]

    def height(value: ParamValue) -> float:
        assert isinstance(value, int | float)
        return (transform(value) - low) / width

    return height, [(height(number), label) for number, label in ticks]


def _choice_scale(choices: list[Any]) -> AxisScale:
    if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices):
        choices.sort()
    last = max(1, len(choices) - 1)
    ticks = [(index / last, _tick_label(choice)) for index, choice in enumerate(choices)]
    return lambda value: choices.index(value) / last, ticks


def _color_map(objective: Objective) -> Any:
    # Dark is good, whichever way the objective goes; the palest blues would not be visible as lines.
    shades = matplotlib.colormaps["Blues"](np.linspace(0.25, 1, 256))
    return ListedColormap(shades if HIGHER_IS_BETTER[objective] else shades[::-1])


def _line_label(is_best: bool, is_current: bool) -> str | None:
    if is_best:
        return "best trial, the current values" if is_current else "best trial"
    return "current values" if is_current else None


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name.replace("_", " "), width=14))


def _label_box() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}


def _tick_label(value: ParamValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
