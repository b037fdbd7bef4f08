"""The map of word vectors as a picture: every dot a word, as many of their names as fit."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from atnet.report import figures
from atnet.report.explanations.attended_words import WordMap

SIZE = (9.6, 7.2)
"""Inches."""
LETTER, LINE = 5.0, 9.5
"""Points that a letter is wide, and a line high, at 8 points; a little more than the usual sans-serif."""
MARKERS = "v^osDPX*"
PALE = 0.2
"""Strength up to which a dot may be covered by a name."""
FAINT = "#c9d1da"
COLORS = (figures.ORANGE, figures.BLUE, "#2a8f63", "#8a4fb5", "#b3261e", "#7a6a2f", "#3d8ea6", "#a63d78")
"""One for each label, while there are few; two labels get the colors of the texts above."""


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: "_Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


def map_figure(found: WordMap, labels: Sequence[str]) -> str:
    """Draw the words: marker and color are the label the word speaks for, strength and size how much."""
    says, best_baseline_score = found.says_WC.max(axis=1), found.says_WC.argmax(axis=1)
    strength = np.clip(says / max(float(np.quantile(says, 0.95)), 1e-9), 0, 1)
    few = len(labels) <= len(MARKERS)
    with figures.figure_style("words"), warnings.catch_warnings():
        # The letters are written, not drawn: the page's fonts have them.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for label, name in enumerate(labels) if few else [(1, "")]:
            chosen = best_baseline_score == label if few else np.ones(len(says), bool)
            _scatter(axes, found.places_W2[chosen], strength[chosen], label, name if few else None)
        first, second = found.explained
        axes.set(xlabel=f"first direction ({first:.0%} of the variance)", ylabel=f"second direction ({second:.0%})")
        axes.margins(0.06)
        if few:
            axes.legend(loc="best", fontsize=8, title="The word alone speaks for", title_fontsize=8, frameon=True)
        figure.draw_without_rendering()
        # The names fit the axes where they are now; laid out again around the names, these would move.
        figure.set_layout_engine("none")
        _write_names(axes, found, strength)
        return figures.as_svg(figure)


def _scatter(axes: Axes, places: np.ndarray, strength: np.ndarray, label: int, name: str | None) -> None:
    colors = LinearSegmentedColormap.from_list("says", [FAINT, COLORS[label]])
    style: dict[str, Any] = {"marker": MARKERS[label], "linewidths": 0}
    axes.scatter(places[:, 0], places[:, 1], c=colors(strength), s=14 + 36 * strength, **style)
    if name is not None:
        axes.scatter([], [], color=COLORS[label], s=36, label=name, **style)


def _write_names(axes: Axes, found: WordMap, strength: np.ndarray) -> None:
    """Name the words beside their dots, the best_baseline_score first; a name that would cover another or a dot is left out."""
    # In points of the figure, because the size of letters is given in points.
    points = axes.transData.transform(found.places_W2) * 72 / axes.figure.dpi
    # Dots of words that say little may be covered: they are many and pale.
    taken = [_Box(x - 3, y - 3, x + 3, y + 3) for x, y in points[strength > PALE]]
    for word in np.argsort(-strength, kind="stable").tolist():
        name, (x, y) = found.words[word], points[word]
        width = LETTER * len(name)
        for shift_x, shift_y, align in ((5, 0, "left"), (-5, 0, "right"), (0, 8, "center"), (0, -8, "center")):
            left = x + shift_x - {"left": 0, "right": width, "center": width / 2}[align]
            box = _Box(left, y + shift_y - LINE / 2, left + width, y + shift_y + LINE / 2)
            if not any(box.meets(other) for other in taken):
                taken.append(box)
                axes.annotate(
                    name,
                    found.places_W2[word],
                    (shift_x, shift_y),
                    textcoords="offset points",
                    ha=align,
                    va="center_baseline",
                    fontsize=8,
                )
                break
