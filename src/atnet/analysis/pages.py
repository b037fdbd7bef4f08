"""The pages of the analyses: HTML that needs no other file, no script and no network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from atnet.analysis.learning_curve import MORE, Curve
from atnet.analysis.rating_agreement import RatingAgreement, told
from atnet.config import AnalyzeConfig
from atnet.report.figures import BLUE, GREY, INK, ORANGE, as_svg, figure_style
from atnet.report.rendering import page_template
from atnet.report.sentences import baseline_name

COLORS = (BLUE, ORANGE, GREY, INK)
SHOWN_ROWS = 300
"""Of the list of suspects; all stand in the CSV file."""
SHOWN_CHARACTERS = 400


def model_name(name: str) -> str:
    """Give a model's readable name."""
    return "AtNet" if name == "atnet" else baseline_name(name)


def curve_page(curves: Sequence[Curve], validation_rows: int, config: AnalyzeConfig) -> str:
    """Write the learning curves as a page with a figure and tables."""
    return page_template("learning_curve.html", FILTERS).render(
        curves=curves, figure=curve_figure(curves), rows=validation_rows, config=config, more=MORE
    )


def label_issue_page(
    listed: pd.DataFrame, summary: Mapping[str, Any], doubt: RatingAgreement | None, config: AnalyzeConfig
) -> str:
    """Write the list of suspects as a page; the comparison with the ratings stands in it where there are any."""
    rows = listed.head(SHOWN_ROWS).to_dict("records")
    for row in rows:
        row["cut"] = len(row["text"]) > SHOWN_CHARACTERS
        row["text"] = row["text"][:SHOWN_CHARACTERS]
    return page_template("suspects.html", FILTERS).render(
        rows=rows,
        total=len(listed),
        summary=summary,
        doubt=doubt,
        sentences=told(doubt) if doubt else [],
        config=config,
        rated="rating" in listed.columns,
    )


def curve_figure(curves: Sequence[Curve]) -> str:
    """Draw error over training texts, on a logarithmic axis, with the fitted curve led on to the estimate."""
    with figure_style("learning-curve"):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for curve, color in zip(curves, COLORS, strict=False):
            _draw(axes, curve, color)
        ticks = sorted({point.rows for curve in curves for point in curve.points} | {curves[0].more_rows})
        axes.set(xscale="log", xlabel="Training texts", ylabel="Wrong answers on validation (%)")
        axes.set_xticks(ticks, [f"{rows:,}" for rows in ticks])
        axes.minorticks_off()
        axes.legend(loc="best", fontsize=8)
        return as_svg(figure)


def _draw(axes: Any, curve: Curve, color: str) -> None:
    rows = np.array([point.rows for point in curve.points])
    along = np.geomspace(rows[0], curve.more_rows, 60)
    axes.plot(along, [100 * curve.law.error_at(one) for one in along], color=color, linewidth=1)
    intervals = [point.accuracy for point in curve.points]
    for places, shown, filled in ((rows, intervals, True), ([curve.more_rows], [curve.more], False)):
        errors = 100 * np.array([1 - one.value for one in shown])
        reach = 100 * np.array([[one.high - one.value, one.value - one.low] for one in shown]).T.clip(min=0)
        label = model_name(curve.model) if filled else f"{model_name(curve.model)}, estimate"
        face = color if filled else "white"
        axes.errorbar(
            places,
            errors,
            yerr=reach,
            color=color,
            marker="o",
            markerfacecolor=face,
            linestyle="none",
            label=label,
            capsize=4,
        )


FILTERS: dict[str, Callable[..., str]] = {
    "percent": lambda value: f"{value:.1%}",
    "fixed": lambda value: f"{value:.3f}",
    "points": lambda value: f"{100 * value:+z.1f}",
    "count": lambda value: f"{value:,}",
    "model": model_name,
}
