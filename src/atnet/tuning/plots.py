"""The pictures of a search, as PNG: what MLflow shows at once, without a library in the page."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from atnet.config.tune import SECTION, Value
from atnet.report.figures import BLUE, GREY, INK, ORANGE, STYLE
from atnet.tuning.trials import HIGHER_IS_BETTER, Objective, TrialResult, current_trial, ranking

DPI = 130
AXIS_NAMES = {"validation_loss": "Validation loss (nats per text)", "validation_accuracy": "Validation accuracy"}


def pictures(
    trials: Sequence[TrialResult],
    objective: Objective,
    within: Mapping[str, BaseDistribution],
    importances: Mapping[str, float],
    current: Mapping[str, Value],
) -> dict[str, bytes]:
    """Draw every picture for which there are trials enough: file name -> PNG."""
    best = ranking(trials, objective)
    if not best:
        return {}
    begun = current_trial(trials, dict(current))
    with matplotlib.rc_context(STYLE):
        drawn = {"history.png": _history(trials, best, begun, objective)}
        if len(best) > 1:
            drawn["parallel_coordinates.png"] = _parallel(best, begun, objective, within)
        if importances:
            drawn["importances.png"] = _importances(importances, objective)
    return {name: _png(figure) for name, figure in drawn.items()}


def _history(
    trials: Sequence[TrialResult], best: Sequence[TrialResult], begun: TrialResult | None, objective: Objective
) -> Figure:
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    complete = sorted(best, key=lambda trial: trial.number)
    values = [trial.kept[objective] for trial in complete]
    so_far = (np.maximum if HIGHER_IS_BETTER[objective] else np.minimum).accumulate(values)
    axes.scatter([trial.number for trial in complete], values, color=BLUE, s=22, label="trial", zorder=3)
    axes.step(
        [trial.number for trial in complete], so_far, where="post", color=BLUE, linewidth=1.2, label="best so far"
    )
    if begun is not None:
        axes.axhline(begun.kept[objective], color=ORANGE, linestyle="--", linewidth=1, label="the current values")
    pruned = [trial.number for trial in trials if trial.state == "pruned"]
    if pruned:
        # On the edge: the value of a trial that was given up cannot be compared with that of a whole one.
        low = axes.get_ylim()[0]
        axes.scatter(pruned, [low] * len(pruned), color=GREY, marker="x", s=22, label="given up", clip_on=False)
        axes.set_ylim(bottom=low)
    axes.set(xlabel="Trial", ylabel=AXIS_NAMES[objective], title="What each trial gave")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def _parallel(
    best: Sequence[TrialResult], begun: TrialResult | None, objective: Objective, within: Mapping[str, BaseDistribution]
) -> Figure:
    names = list(within)
    figure = Figure(figsize=(max(6.5, 1.1 * len(names) + 2), 4.6), layout="constrained")
    axes = figure.subplots()
    scales = [_scale(within[name]) for name in names]
    values = [trial.kept[objective] for trial in best]
    colors: Any = ScalarMappable(Normalize(min(values), max(values)), _colour_map(objective))
    for trial in reversed(best):
        heights = [place(trial.settings[name]) for name, (place, _) in zip(names, scales, strict=True)]
        first, is_begun = trial is best[0], begun is not None and trial.number == begun.number
        axes.plot(
            heights,
            color=ORANGE if is_begun else colors.to_rgba(trial.kept[objective]),
            linewidth=2.6 if first else 1.8 if is_begun else 1.0,
            linestyle="--" if is_begun else "-",
            label=_line_name(first, is_begun),
            zorder=4 if first or is_begun else 2,
        )
    for position, (_, ticks) in enumerate(scales):
        axes.axvline(position, color=GREY, linewidth=0.8, zorder=1)
        for height, label in ticks:
            axes.text(position + 0.03, height, label, fontsize=8, color=INK, va="center", zorder=5, bbox=_behind())
    axes.set_xticks(range(len(names)), [_broken(name.removeprefix(SECTION)) for name in names])
    axes.set(yticks=[], xlim=(-0.1, len(names) - 0.6), ylim=(-0.05, 1.05), title="Complete trials, one line each")
    axes.spines[:].set_visible(False)
    figure.colorbar(colors, ax=axes, label=AXIS_NAMES[objective], pad=0.01)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _importances(importances: Mapping[str, float], objective: Objective) -> Figure:
    ordered = sorted(importances.items(), key=lambda item: item[1])
    figure = Figure(figsize=(6.5, 0.36 * len(ordered) + 1.3), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([name.removeprefix(SECTION) for name, _ in ordered], [share for _, share in ordered], color=BLUE)
    axes.bar_label(bars, labels=[f"{share:.0%}" for _, share in ordered], padding=3)
    axes.set(
        xlim=(0, 1), title="What moved the value", xlabel=f"Share of the variance of the {_words(objective)} (fANOVA)"
    )
    return figure


Scale = tuple[Callable[[Value], float], list[tuple[float, str]]]


def _scale(within: BaseDistribution) -> Scale:
    """Give the height of a value on its axis, 0 to 1, and the marks on the axis."""
    if isinstance(within, CategoricalDistribution):
        choices = list(within.choices)
        if all(isinstance(one, int | float) and not isinstance(one, bool) for one in choices):
            choices.sort()
        last = max(1, len(choices) - 1)
        return (
            lambda value: choices.index(value) / last,
            [(index / last, _shown(choice)) for index, choice in enumerate(choices)],
        )
    numbers: Any = within
    bend: Callable[[float], float] = math.log if numbers.log else float
    low, high = bend(numbers.low), bend(numbers.high)
    width = (high - low) or 1.0
    middle = math.exp((low + high) / 2) if numbers.log else (low + high) / 2
    if isinstance(within, IntDistribution):
        middle = round(middle)
    ends = [(numbers.low, _shown(numbers.low)), (middle, f"{middle:.3g}"), (numbers.high, _shown(numbers.high))]

    def place(value: Value) -> float:
        assert isinstance(value, int | float)
        return (bend(value) - low) / width

    return place, [(place(number), label) for number, label in ends]


def _colour_map(objective: Objective) -> Any:
    # Dark is good, whichever way the objective runs; the palest blues would not be seen as lines.
    shades = matplotlib.colormaps["Blues"](np.linspace(0.25, 1, 256))
    return ListedColormap(shades if HIGHER_IS_BETTER[objective] else shades[::-1])


def _line_name(is_best: bool, is_begun: bool) -> str | None:
    if is_best:
        return "the best: the current values" if is_begun else "the best"
    return "the current values" if is_begun else None


def _broken(name: str) -> str:
    return "\n".join(textwrap.wrap(name.replace("_", " "), width=14))


def _behind() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(objective: Objective) -> str:
    return objective.replace("_", " ")


def _png(figure: Figure) -> bytes:
    written = BytesIO()
    figure.savefig(written, format="png", dpi=DPI, metadata={"Software": None})
    return written.getvalue()
