"""The learning curves as a page: HTML that needs no other file, no script and no network."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atnet.analysis.learning_curve import GROWTH, LearningCurve
from atnet.config import AnalyzeConfig
from atnet.evaluation.bootstrap import Interval
from atnet.report.figures import BLUE, GRAY, INK, ORANGE, plot_style, to_svg
from atnet.report.rendering import page_template
from atnet.report.sentences import display_name

COLORS = (BLUE, ORANGE, GRAY, INK)


def learning_curve_page(curves: Sequence[LearningCurve], validation_rows: int, config: AnalyzeConfig) -> str:
    """Write the learning curves as a page with a figure and tables."""
    return page_template("learning_curve.html").render(
        curves=curves, figure=learning_curve_figure(curves), rows=validation_rows, config=config, growth=GROWTH
    )


def learning_curve_figure(curves: Sequence[LearningCurve]) -> str:
    """Plot error against training texts on a logarithmic axis, with the fitted curves and their extrapolation."""
    with plot_style("learning-curve"):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for curve, color in zip(curves, COLORS, strict=False):
            _plot_curve(axes, curve, color)
        ticks = sorted({point.train_rows for curve in curves for point in curve.points} | {curves[0].doubled_rows})
        axes.set(xscale="log", xlabel="Training texts", ylabel="Errors on validation (%)")
        axes.set_xticks(ticks, [f"{rows:,}" for rows in ticks])
        axes.minorticks_off()
        axes.legend(loc="best", fontsize=8)
        return to_svg(figure)


def _plot_curve(axes: Axes, curve: LearningCurve, color: str) -> None:
    rows = [point.train_rows for point in curve.points]
    grid = np.geomspace(rows[0], curve.doubled_rows, 60)
    axes.plot(grid, [100 * curve.power_law.error_at(value) for value in grid], color=color, linewidth=1)
    name = display_name(curve.model)
    _plot_errors(axes, rows, [point.accuracy for point in curve.points], color, name, color)
    _plot_errors(axes, [curve.doubled_rows], [curve.doubled_accuracy], color, f"{name}, extrapolated", "white")


def _plot_errors(
    axes: Axes, rows: Sequence[int], accuracies: Sequence[Interval], color: str, label: str, face: str
) -> None:
    errors = 100 * np.array([1 - accuracy.value for accuracy in accuracies])
    bounds = [[accuracy.high - accuracy.value, accuracy.value - accuracy.low] for accuracy in accuracies]
    lengths = 100 * np.array(bounds).T.clip(min=0)
    axes.errorbar(
        rows,
        errors,
        yerr=lengths,
        color=color,
        label=label,
        marker="o",
        markerfacecolor=face,
        linestyle="none",
        capsize=4,
    )
