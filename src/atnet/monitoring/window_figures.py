"""The figures of the monitoring report as SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from atnet.monitoring.drift_statistics import STATISTICS, TITLES
from atnet.monitoring.window_records import WindowRecord
from atnet.report.figures import BLUE, GRAY, INK, ORANGE, plot_style, to_svg

MAX_WINDOWS = 60
"""Windows in a figure."""
MAX_NAMES = 8
"""Windows named on the axis."""


def statistics_figure(windows: Sequence[WindowRecord]) -> str:
    """Draw each effect size over the windows, with the smallest effect that counts."""
    windows = [record for record in windows if record.compared][-MAX_WINDOWS:]
    names = [name for name in STATISTICS if any(name in record.effects for record in windows)]
    with plot_style("monitoring-statistics"):
        figure = Figure(figsize=(9.6, 1.5 * max(len(names), 1) + 0.5), layout="constrained")
        panels = figure.subplots(max(len(names), 1), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=False):
            _draw_statistic(axes, name, windows)
        _name_windows(panels[-1], windows)
        return to_svg(figure)


def accuracy_figure(windows: Sequence[WindowRecord]) -> str:
    """Draw estimated and measured accuracy over the windows, beside that of the held-out rows."""
    windows = [record for record in windows if record.estimates][-MAX_WINDOWS:]
    with plot_style("monitoring-accuracy"):
        figure = Figure(figsize=(9.6, 2.8), layout="constrained")
        axes = figure.subplots()
        known = next((record.estimates["reference"] for record in windows[::-1] if record.estimates["reference"]), None)
        if known is not None:
            axes.axhline(100 * known["value"], color=GRAY, linewidth=1, linestyle=":", label="held-out rows")
            axes.axhspan(100 * known["low"], 100 * known["high"], color=GRAY, alpha=0.2, linewidth=0)
        for key, color, marker, label, shift in (
            ("estimated", BLUE, "o", "estimated from confidence", -0.08),
            ("measured", ORANGE, "s", "measured on labels", 0.08),
        ):
            positions = [position for position, record in enumerate(windows) if record.estimates[key]]
            if positions:
                _error_bars(
                    axes,
                    [windows[position].estimates[key] for position in positions],
                    positions,
                    shift,
                    color,
                    marker,
                    label,
                )
        axes.set(ylabel="Accuracy (%)")
        axes.legend(loc="best", fontsize=8)
        _name_windows(axes, windows)
        return to_svg(figure)


def distribution_figure(window: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> str:
    """Draw confidence, length and unknown words of the window's texts over those of the reference.

    Args:
        window: `score`, `tokens` and `unknown`, one number per text.
        reference: the same.
    """
    titles = {"score": "Probability of the predicted label", "tokens": "Length in tokens", "unknown": "Unknown words"}
    with plot_style("monitoring-distributions"):
        figure = Figure(figsize=(9.6, 2.6), layout="constrained")
        for axes, (key, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
            joined = np.concatenate([window[key], reference[key]])
            edges = np.linspace(joined.min(), max(float(np.quantile(joined, 0.995)), joined.min() + 1e-6), 25)
            for values, color, label in ((reference[key], GRAY, "held-out rows"), (window[key], BLUE, "window")):
                weights = np.full(len(values), 100 / len(values))
                axes.hist(
                    values.clip(edges[0], edges[-1]), bins=edges, weights=weights, color=color, alpha=0.55, label=label
                )
            axes.set(title=title)
        figure.axes[0].set(ylabel="Share of the texts (%)")
        figure.axes[0].legend(loc="best", fontsize=8)
        return to_svg(figure)


def _draw_statistic(axes: Any, name: str, windows: Sequence[WindowRecord]) -> None:
    positions = np.array([position for position, record in enumerate(windows) if name in record.effects])
    shown = [windows[position] for position in positions]
    values = np.array([record.effects[name] for record in shown])
    axes.plot(positions, values, color=BLUE, linewidth=1)
    counted = np.array(
        [
            record.level is not None
            and record.p_value is not None
            and max(record.p_value, record.p_values[name]) <= record.level
            and record.effects[name] >= record.min_effects[name]
            for record in shown
        ]
    )
    axes.scatter(positions[~counted], values[~counted], color=BLUE, s=18, zorder=3)
    axes.scatter(positions[counted], values[counted], color=ORANGE, s=34, marker="D", zorder=3)
    axes.axhline(shown[-1].min_effects[name], color=INK, linewidth=0.8, linestyle="--")
    axes.set(title=TITLES[name])
    axes.margins(y=0.25)


def _error_bars(
    axes: Any, intervals: Sequence[Any], positions: Sequence[int], shift: float, color: str, marker: str, label: str
) -> None:
    values = 100 * np.array([bounds["value"] for bounds in intervals])
    low, high = (100 * np.array([bounds[end] for bounds in intervals]) for end in ("low", "high"))
    errors = np.array([values - low, high - values]).clip(min=0)
    style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": "none", "capsize": 3, "markersize": 5}
    axes.errorbar(np.array(positions) + shift, values, yerr=errors, label=label, **style)


def _name_windows(axes: Any, windows: Sequence[WindowRecord]) -> None:
    step = max(1, -(-len(windows) // MAX_NAMES))
    positions = list(range(0, len(windows), step))
    axes.set_xticks(positions, [windows[position].name[:24] for position in positions], fontsize=8)
    axes.set_xlim(-0.5, max(len(windows), 1) - 0.5)
