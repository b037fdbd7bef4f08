"""The drift benchmark's results as tables and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from scipy.stats import binomtest

from atnet.config import PersistenceConfig
from atnet.monitoring.alarm import is_alarm
from benchmarks.copied import ROOT
from benchmarks.measure import table

matplotlib.use("svg")
from matplotlib import pyplot

PICTURE = ROOT / "docs" / "drift-power.svg"
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
            found = _windows(results, size, share)
            significant = sum(one["significant"] for one in found)
            drifted = sum(one["drifted"] for one in found)
            fixed, percentile = EVIDENTLY[size, share]
            rows.append(
                [
                    f"{size:,}",
                    NAMES[share],
                    str(len(found)),
                    f"{found[0]['level']:.3f}",
                    _share(significant, len(found)),
                    _share(drifted, len(found)),
                    _share(round(fixed * EVIDENTLY_WINDOWS), EVIDENTLY_WINDOWS),
                    _share(round(percentile * EVIDENTLY_WINDOWS), EVIDENTLY_WINDOWS),
                ]
            )
    header = ["window", "texts", "windows", "level", "significant", "significant and large"]
    return table([*header, "evidently, threshold 0.55", "evidently, percentile"], rows, left=2)


def persistence_table(
    results: Mapping[str, Any], sizes: Sequence[int], shares: Sequence[float], persistence: PersistenceConfig
) -> str:
    """Write how often the windows of a partition, taken in turn, are in a state of alarm, and how often one begins."""
    rows = []
    for size in sizes:
        for share in shares:
            states, begun = 0, 0
            courses = _by_partition(results, size, share)
            for course in courses:
                alarms = [is_alarm(course[: end + 1], persistence) for end in range(len(course))]
                states += sum(alarms[persistence.windows - 1 :])
                begun += sum(now and not before for before, now in zip([False, *alarms], alarms, strict=False))
            windows = sum(len(course) - persistence.windows + 1 for course in courses)
            rows.append([f"{size:,}", NAMES[share], _share(states, windows), f"{begun}", f"{len(courses)}"])
    return table(["window", "texts", "windows in alarm", "alarms begun", "courses"], rows, left=2)


def draw_power(results: Mapping[str, Any], sizes: Sequence[int]) -> Path:
    """Draw the share of drifted windows over the size of the window."""
    with matplotlib.rc_context({"svg.hashsalt": "drift", "svg.fonttype": "none", "font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for share, color in zip((0.2, 0.0), COLORS, strict=False):
            name = NAMES[share]
            found = {size: _windows(results, size, share) for size in sizes}
            hits = [sum(one["drifted"] for one in found[size]) for size in sizes]
            values = [hit / len(found[size]) for hit, size in zip(hits, sizes, strict=True)]
            bounds = [_bounds(hit, len(found[size])) for hit, size in zip(hits, sizes, strict=True)]
            reach = [[v - low for v, (low, _) in zip(values, bounds, strict=True)]]
            reach.append([high - v for v, (_, high) in zip(values, bounds, strict=True)])
            axes.errorbar(sizes, values, yerr=reach, marker="o", color=color, capsize=4, label=f"{name}")
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
        figure.savefig(PICTURE, metadata={"Date": None})
        pyplot.close(figure)
    return PICTURE


def _windows(results: Mapping[str, Any], size: int, share: float) -> list[dict[str, Any]]:
    return [
        one for key, found in results.items() if key.startswith(f"{size}-") for one in found if one["share"] == share
    ]


def _by_partition(results: Mapping[str, Any], size: int, share: float) -> list[list[bool]]:
    return [
        [one["drifted"] for one in found if one["share"] == share]
        for key, found in results.items()
        if key.startswith(f"{size}-")
    ]


def _share(hits: int, windows: int) -> str:
    low, high = _bounds(hits, windows)
    return f"{hits / windows:.2f} ({low:.2f} to {high:.2f})"


def _bounds(hits: int, windows: int) -> tuple[float, float]:
    found = binomtest(hits, windows).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
