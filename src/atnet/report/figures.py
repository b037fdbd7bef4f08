"""The report's figures as SVG: the same bytes for the same numbers, and no external address."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from atnet.evaluation.bootstrap import Interval
from atnet.evaluation.calibration import Reliability
from atnet.evaluation.metrics import Floats, Ints, safe_divide
from atnet.evaluation.ranking import Curves

INK, BLUE, GRAY, ORANGE = "#1f2933", "#2563a8", "#9aa5b1", "#c4631b"
MAX_ANNOTATED_LABELS = 12
"""Up to this many labels, the cells of the confusion matrix show their counts."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    # A dollar sign in a label is not the start of a formula.
    "text.parse_math": False,
}


@contextlib.contextmanager
def plot_style(name: str) -> Iterator[None]:
    """Apply the project's matplotlib settings while the figure of this name is drawn and written."""
    with matplotlib.rc_context():
        # A matplotlibrc of the user must not change a figure.
        matplotlib.rcdefaults()
        # The salt makes the ids of shared shapes reproducible, and different between the figures of a page.
        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": name})
        yield


def reliability_figure(before: Reliability, after: Reliability) -> str:
    """Draw accuracy against confidence, and the number of texts in each bin."""
    with plot_style("reliability"):
        figure = Figure(figsize=(5.2, 4.8), layout="constrained")
        axes, histogram = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=":", label="perfect calibration")
        for curve, color, name, line in ((before, ORANGE, "before", "--"), (after, BLUE, "after", "-")):
            filled = curve.rows > 0
            label = f"{name} temperature scaling (error {100 * curve.expected_error:.1f} points)"
            axes.plot(curve.confidence[filled], curve.accuracy[filled], color=color, linestyle=line, label=label)
            # The dot's area shows the number of texts: a dot far from the line may represent a few texts only.
            area = 4 + 76 * curve.rows[filled] / max(1, curve.rows.max())
            axes.scatter(curve.confidence[filled], curve.accuracy[filled], s=area, color=color)
        axes.set(ylabel="Accuracy", xlim=(0, 1.01), ylim=(0, 1.02))
        figure.legend(loc="outside upper left", fontsize=8)
        histogram.bar(after.bin_centers, after.rows, width=0.9 / len(after.rows), color=BLUE, alpha=0.6)
        histogram.set(xlabel="Confidence", ylabel="Texts")
        return to_svg(figure)


def confusion_figure(confusion_CC: Ints, labels: Sequence[str]) -> str:
    """Draw the confusion matrix; a cell's color shows its share of the actual label's texts."""
    classes = len(labels)
    size = float(np.clip(2.2 + 0.45 * classes, 3.6, 10.5))
    font = float(np.clip(400 / classes, 5.5, 9.0))
    share_CC = safe_divide(confusion_CC, confusion_CC.sum(axis=1, keepdims=True))
    with plot_style("confusion"):
        figure = Figure(figsize=(size, size * 0.92), layout="constrained")
        axes = figure.subplots()
        # With many labels, errors are small shares each: a square-root scale makes them visible.
        colors = PowerNorm(1 if classes <= MAX_ANNOTATED_LABELS else 0.5, vmin=0, vmax=1)
        axes.imshow(share_CC, cmap="Blues", norm=colors, interpolation="none", aspect="equal")
        axes.set_xticks(range(classes), labels, rotation=45 if classes <= MAX_ANNOTATED_LABELS else 90, fontsize=font)
        if classes <= MAX_ANNOTATED_LABELS:
            for text in axes.get_xticklabels():
                text.set(ha="right", rotation_mode="anchor")
            _write_counts(axes, confusion_CC, share_CC)
        axes.set_yticks(range(classes), labels, fontsize=font)
        axes.set(xlabel="Predicted label", ylabel="Actual label")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return to_svg(figure)


def curves_figure(curves: Curves, *, roc_auc: float, average_precision: float, base_rate: float) -> str:
    """Draw the ROC and the precision-recall curve side by side, with the curves of random predictions."""
    with plot_style("curves"):
        figure = Figure(figsize=(8.4, 3.8), layout="constrained")
        roc, recall = figure.subplots(1, 2)
        roc.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=":", label="random")
        roc.plot(
            np.append(0.0, curves.grid),
            np.append(0.0, curves.true_positive_rate),
            color=BLUE,
            label=f"AtNet (area {roc_auc:.3f})",
        )
        roc.set(xlabel="False positive rate", ylabel="True positive rate", title="ROC curve")
        roc.legend(loc="lower right", fontsize=8)
        recall.axhline(base_rate, color=GRAY, linewidth=1, linestyle=":", label="random")
        recall.plot(
            curves.grid, curves.precision, color=BLUE, label=f"AtNet (average precision {average_precision:.3f})"
        )
        recall.set(xlabel="Recall", ylabel="Precision", title="Precision-recall curve")
        recall.legend(loc="lower left", fontsize=8)
        for axes in (roc, recall):
            axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
        return to_svg(figure)


def length_figure(names: Sequence[str], rows: Sequence[int], accuracies: Sequence[Interval], overall: float) -> str:
    """Draw accuracy with its interval for each length, shortest first."""
    with plot_style("length"):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        values = 100 * np.array([accuracy.value for accuracy in accuracies])
        bounds = [[accuracy.value - accuracy.low, accuracy.high - accuracy.value] for accuracy in accuracies]
        lengths = 100 * np.array(bounds).T.clip(min=0)
        axes.axhline(100 * overall, color=GRAY, linewidth=1, linestyle=":", label=f"all texts ({overall:.1%})")
        axes.errorbar(range(len(names)), values, yerr=lengths, color=BLUE, marker="o", capsize=4, linestyle="none")
        axes.set_xticks(
            range(len(names)), [f"{name}\n({count:,} texts)" for name, count in zip(names, rows, strict=True)]
        )
        axes.set(ylabel="Accuracy (%)", xlim=(-0.5, len(names) - 0.5))
        axes.legend(loc="best", fontsize=8)
        return to_svg(figure)


def to_svg(figure: Figure) -> str:
    """Write a figure as an SVG element that can be placed in a page and fits its width."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :]
    # Inside HTML the namespaces are implied, and ids such as axes_1 would occur more than once.
    text = re.sub(r'\s(?:xmlns(?::\w+)?|width|height)="[^"]*"', "", text, count=4).replace("xlink:href", "href")
    text = re.sub(r"font-family: [^;\"]*; ", "", text)  # the page's own
    text = re.sub(r'<g id="[\w.]+_\d+"', "<g", text)
    # At its original size, so that text has the same size in all figures; smaller on a narrow page.
    return text.replace("<svg", f'<svg role="img" style="max-width:{72 * figure.get_figwidth():g}pt"', 1).strip()


def _write_counts(axes: Axes, confusion_CC: Ints, share_CC: Floats) -> None:
    for (row, column), count in np.ndenumerate(confusion_CC):
        color = "white" if share_CC[row, column] > 0.55 else INK
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
