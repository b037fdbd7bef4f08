"""The results of the drift benchmark as tables and as a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from scipy.stats import binomtest

from atnet.config import PersistenceConfig
from atnet.formatting import markdown_table
from atnet.monitoring.alarm import is_alarm
from benchmarks.project_copy import ROOT

matplotlib.use("svg")
from matplotlib import pyplot

FIGURE = ROOT / "docs" / "drift-power.svg"
# evidently 0.7.23's recipe for texts, on the same data with a reference of 2,000 texts, 40 windows per cell: share of
# windows that alarm by its fixed threshold of 0.55, and by its percentile test.
EVIDENTLY_WINDOWS = 40
EVIDENTLY: Mapping[tuple[int, float], tuple[float, float]] = {
    (50, 0.0): (0.00, 0.00),
    (50, 0.2): (0.40, 0.05),
    (50, 1.0): (1.00, 1.00),
    (100, 0.0): (0.02, 0.00),
    (100, 0.2): (0.65, 0.30),
    (100, 1.0): (1.00, 1.00),
    (300, 0.0): (0.00, 0.00),
    (300, 0.2): (0.55, 0.72),
    (300, 1.0): (1.00, 1.00),
    (1000, 0.0): (0.00, 0.00),
    (1000, 0.2): (0.72, 1.00),
    (1000, 1.0): (1.00, 1.00),
}
NAMES = {0.0: "equal data", 0.2: "20 % tweets", 1.0: "all tweets"}
COLORS = ("#c4631b", "#2563a8", "#123a68")


def drift_table(results: Mapping[str, Any], sizes: Sequence[int], shares: Sequence[float]) -> str:
    """Write the share of windows that count as drifted, with intervals, beside evidently's recipe."""
    rows = []
    for size in sizes:
        for share in shares:
            windows = _windows(results, size, share)
            significant = sum(window["significant"] for window in windows)
            drifted = sum(window["drifted"] for window in windows)
            fixed, percentile = EVIDENTLY[size, share]
            rows.append(
                [
                    f"{size:,}",
                    NAMES[share],
                    str(len(windows)),
                    f"{windows[0]['level']:.3f}",
                    _share(significant, len(windows)),
                    _share(drifted, len(windows)),
                    _share(round(fixed * EVIDENTLY_WINDOWS), EVIDENTLY_WINDOWS),
                    _share(round(percentile * EVIDENTLY_WINDOWS), EVIDENTLY_WINDOWS),
                ]
            )
    header = ["window", "texts", "windows", "level", "significant", "significant and large"]
    return markdown_table([*header, "evidently, threshold 0.55", "evidently, percentile"], rows)


def persistence_table(
    results: Mapping[str, Any], sizes: Sequence[int], shares: Sequence[float], persistence: PersistenceConfig
) -> str:
    """Write the share of windows with an alarm and the new alarms, if a partition's windows follow one another."""
    rows = []
    for size in sizes:
        for share in shares:
            states, started = 0, 0
            sequences = _by_partition(results, size, share)
            for sequence in sequences:
                alarms = [is_alarm(sequence[: end + 1], persistence) for end in range(len(sequence))]
                states += sum(alarms[persistence.windows - 1 :])
                started += sum(now and not before for before, now in zip([False, *alarms], alarms, strict=False))
            windows = sum(len(sequence) - persistence.windows + 1 for sequence in sequences)
            rows.append([f"{size:,}", NAMES[share], _share(states, windows), f"{started}", f"{len(sequences)}"])
    return markdown_table(["window", "texts", "windows in alarm", "new alarms", "sequences"], rows)


def draw_power(results: Mapping[str, Any], sizes: Sequence[int]) -> Path:
    """Draw the share of drifted windows over the size of the window."""
    with matplotlib.rc_context({"svg.hashsalt": "drift", "svg.fonttype": "none", "font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for share, color in zip((0.2, 0.0), COLORS, strict=False):
            name = NAMES[share]
            windows = {size: _windows(results, size, share) for size in sizes}
            hits = [sum(window["drifted"] for window in windows[size]) for size in sizes]
            values = [hit / len(windows[size]) for hit, size in zip(hits, sizes, strict=True)]
            bounds = [_bounds(hit, len(windows[size])) for hit, size in zip(hits, sizes, strict=True)]
            errors = [[v - low for v, (low, _) in zip(values, bounds, strict=True)]]
            errors.append([high - v for v, (_, high) in zip(values, bounds, strict=True)])
            axes.errorbar(sizes, values, yerr=errors, marker="o", color=color, capsize=4, label=f"{name}")
            for place, style, recipe in ((0, ":", "threshold"), (1, "--", "percentile")):
                theirs = [EVIDENTLY[size, share][place] for size in sizes]
                if share:
                    axes.plot(sizes, theirs, linestyle=style, color="#9aa5b1", label=f"{name}, evidently, {recipe}")
        level = _windows(results, sizes[0], 0.0)[0]["level"]
        axes.axhline(level, color="#5f6c7b", linewidth=1, linestyle="-.", label=f"level {level:.3f}")
        axes.set(xscale="log", xlabel="texts in the window", ylabel="share of windows that drift", ylim=(0, 1.03))
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(FIGURE, metadata={"Date": None})
        pyplot.close(figure)
    return FIGURE


def _windows(results: Mapping[str, Any], size: int, share: float) -> list[dict[str, Any]]:
    return [
        window
        for key, windows in results.items()
        if key.startswith(f"{size}-")
        for window in windows
        if window["share"] == share
    ]


def _by_partition(results: Mapping[str, Any], size: int, share: float) -> list[list[bool]]:
    return [
        [window["drifted"] for window in windows if window["share"] == share]
        for key, windows in results.items()
        if key.startswith(f"{size}-")
    ]


def _share(hits: int, windows: int) -> str:
    low, high = _bounds(hits, windows)
    return f"{hits / windows:.2f} ({low:.2f} to {high:.2f})"


def _bounds(hits: int, windows: int) -> tuple[float, float]:
    bounds = binomtest(hits, windows).proportion_ci(0.95, method="wilson")
    return float(bounds.low), float(bounds.high)
