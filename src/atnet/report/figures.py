"""The report's pictures as SVG text: the same bytes for the same numbers, no address in them."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from atnet.evaluation.bootstrap import Interval
from atnet.evaluation.calibration import Reliability
from atnet.evaluation.metrics import Floats, Ints, safe_divide
from atnet.evaluation.ranking import Curves

INK, BLUE, GREY, ORANGE = "#1f2933", "#2563a8", "#9aa5b1", "#c4631b"
ANNOTATED_LABELS = 12
"""Up to this many labels, the cells of the confusion matrix hold their counts."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    # A dollar sign in a label is a dollar sign.
    "text.parse_math": False,
}


def reliability_figure(before: Reliability, after: Reliability) -> str:
    """Draw kept accuracy over stated confidence, and how many texts stand behind each bin."""
    with figure_style("reliability"):
        figure = Figure(figsize=(5.2, 4.8), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="kept to the letter")
        for found, color, name, line in ((before, ORANGE, "before", "--"), (after, BLUE, "after", "-")):
            seen = found.rows > 0
            label = f"{name} temperature scaling (error {100 * found.expected_error:.1f} points)"
            axes.plot(found.confidence[seen], found.accuracy[seen], color=color, linestyle=line, label=label)
            # The dot's area is the number of texts: a stray dot of few texts should look like one.
            area = 4 + 76 * found.rows[seen] / max(1, found.rows.max())
            axes.scatter(found.confidence[seen], found.accuracy[seen], s=area, color=color)
        axes.set(ylabel="Share that is right", xlim=(0, 1.01), ylim=(0, 1.02))
        figure.legend(loc="outside upper left", fontsize=8)
        below.bar(after.bin_centers, after.rows, width=0.9 / len(after.rows), color=BLUE, alpha=0.6)
        below.set(xlabel="Confidence of the answer", ylabel="Texts")
        return as_svg(figure)


def confusion_figure(confusion_CC: Ints, labels: Sequence[str]) -> str:
    """Draw the confusion matrix; a cell's color is its share of the actual label's texts."""
    classes = len(labels)
    size = float(np.clip(2.2 + 0.45 * classes, 3.6, 10.5))
    font = float(np.clip(400 / classes, 5.5, 9.0))
    share_CC = safe_divide(confusion_CC, confusion_CC.sum(axis=1, keepdims=True))
    with figure_style("confusion"):
        figure = Figure(figsize=(size, size * 0.92), layout="constrained")
        axes = figure.subplots()
        # Mistakes spread over many labels are small shares each: a root scale lets them be seen.
        colors = PowerNorm(1 if classes <= ANNOTATED_LABELS else 0.5, vmin=0, vmax=1)
        axes.imshow(share_CC, cmap="Blues", norm=colors, interpolation="none", aspect="equal")
        axes.set_xticks(range(classes), labels, rotation=45 if classes <= ANNOTATED_LABELS else 90, fontsize=font)
        if classes <= ANNOTATED_LABELS:
            for text in axes.get_xticklabels():
                text.set(ha="right", rotation_mode="anchor")
            _write_counts(axes, confusion_CC, share_CC)
        axes.set_yticks(range(classes), labels, fontsize=font)
        axes.set(xlabel="Predicted label", ylabel="Actual label")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return as_svg(figure)


def curves_figure(curves: Curves, *, roc_auc: float, average_precision: float, base_rate: float) -> str:
    """Draw ROC and precision-recall side by side, with what guessing would give."""
    with figure_style("curves"):
        figure = Figure(figsize=(8.4, 3.8), layout="constrained")
        roc, recall = figure.subplots(1, 2)
        roc.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="guessing")
        roc.plot(
            np.append(0.0, curves.grid),
            np.append(0.0, curves.true_positive_rate),
            color=BLUE,
            label=f"AtNet (area {roc_auc:.3f})",
        )
        roc.set(xlabel="False positive rate", ylabel="True positive rate", title="ROC")
        roc.legend(loc="lower right", fontsize=8)
        recall.axhline(base_rate, color=GREY, linewidth=1, linestyle=":", label="guessing")
        recall.plot(
            curves.grid, curves.precision, color=BLUE, label=f"AtNet (average precision {average_precision:.3f})"
        )
        recall.set(xlabel="Recall", ylabel="Precision", title="Precision and recall")
        recall.legend(loc="lower left", fontsize=8)
        for axes in (roc, recall):
            axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
        return as_svg(figure)


def length_figure(names: Sequence[str], rows: Sequence[int], accuracies: Sequence[Interval], overall: float) -> str:
    """Draw accuracy with its interval for each length, shortest first."""
    with figure_style("length"):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        values = 100 * np.array([one.value for one in accuracies])
        reach = 100 * np.array([[one.value - one.low, one.high - one.value] for one in accuracies]).T.clip(min=0)
        axes.axhline(100 * overall, color=GREY, linewidth=1, linestyle=":", label=f"all texts ({overall:.1%})")
        axes.errorbar(range(len(names)), values, yerr=reach, color=BLUE, marker="o", capsize=4, linestyle="none")
        axes.set_xticks(
            range(len(names)), [f"{name}\n({count:,} texts)" for name, count in zip(names, rows, strict=True)]
        )
        axes.set(ylabel="Accuracy (%)", xlim=(-0.5, len(names) - 0.5))
        axes.legend(loc="best", fontsize=8)
        return as_svg(figure)


def plot_style(name: str) -> Any:
    """Return the matplotlib settings, as a context, under which the figure of this name is drawn and written."""
    return figure_style(name)


def figure_style(name: str) -> Any:
    """Give the settings, as a context, under which the figure of this name is made and written."""
    # The salt makes the names of shared shapes repeatable, and different from picture to picture of one page.
    return matplotlib.rc_context({**STYLE, "svg.hashsalt": name})


def as_svg(figure: Figure) -> str:
    """Write a figure as an SVG element that stands inside a page and fits its width."""
    written = StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", written.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :]
    # Inside HTML the namespaces go without saying, and ids such as axes_1 would stand there twice.
    text = re.sub(r'\s(?:xmlns(?::\w+)?|width|height)="[^"]*"', "", text, count=4).replace("xlink:href", "href")
    text = re.sub(r"font-family: [^;\"]*; ", "", text)  # the page's own
    text = re.sub(r'<g id="[\w.]+_\d+"', "<g", text)
    # As large as it was laid out, so that letters have one size in all figures; smaller on a narrow page.
    return text.replace("<svg", f'<svg role="img" style="max-width:{72 * figure.get_figwidth():g}pt"', 1).strip()


def _write_counts(axes: Any, confusion_CC: Ints, share_CC: Floats) -> None:
    for (row, column), count in np.ndenumerate(confusion_CC):
        color = "white" if share_CC[row, column] > 0.55 else INK
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
