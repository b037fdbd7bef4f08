"""The map of word vectors as a figure: a dot per word, with as many names as fit."""

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
CHARACTER_WIDTH, LINE_HEIGHT = 5.0, 9.5
"""In points, at a font size of 8; slightly more than in the usual sans-serif fonts."""
MARKERS = "v^osDPX*"
PALE = 0.2
"""A dot of at most this strength may be covered by a name."""
PALE_COLOR = "#c9d1da"
COLORS = (figures.ORANGE, figures.BLUE, "#2a8f63", "#8a4fb5", "#b3261e", "#7a6a2f", "#3d8ea6", "#a63d78")
"""One per label, if there are few; two labels get the colors of the highlighted texts."""


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "_Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


def word_map_figure(word_map: WordMap, labels: Sequence[str]) -> str:
    """Draw the words: marker and color show the label a word contributes to, size and strength how much."""
    contributions, label_W = word_map.contributions_WC.max(axis=1), word_map.contributions_WC.argmax(axis=1)
    strength = np.clip(contributions / max(float(np.quantile(contributions, 0.95)), 1e-9), 0, 1)
    few = len(labels) <= len(MARKERS)
    with figures.plot_style("words"), warnings.catch_warnings():
        # The text stays text in the SVG, and the browser's fonts have the glyphs.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for label, name in enumerate(labels) if few else [(1, "")]:
            chosen = label_W == label if few else np.ones(len(label_W), bool)
            _scatter(axes, word_map.positions_W2[chosen], strength[chosen], label, name if few else None)
        first, second = word_map.explained_variance
        axes.set(xlabel=f"first component ({first:.0%} of the variance)", ylabel=f"second component ({second:.0%})")
        axes.margins(0.06)
        if few:
            axes.legend(loc="best", fontsize=8, title="On its own, the word favors", title_fontsize=8, frameon=True)
        figure.draw_without_rendering()
        # The names fit the axes as they are now; another layout around the names would move the axes.
        figure.set_layout_engine("none")
        _annotate(axes, word_map, strength)
        return figures.to_svg(figure)


def _scatter(axes: Axes, positions: np.ndarray, strength: np.ndarray, label: int, name: str | None) -> None:
    colors = LinearSegmentedColormap.from_list("strength", [PALE_COLOR, COLORS[label]])
    style: dict[str, Any] = {"marker": MARKERS[label], "linewidths": 0}
    axes.scatter(positions[:, 0], positions[:, 1], c=colors(strength), s=14 + 36 * strength, **style)
    if name is not None:
        axes.scatter([], [], color=COLORS[label], s=36, label=name, **style)


def _annotate(axes: Axes, word_map: WordMap, strength: np.ndarray) -> None:
    """Write the words next to their dots, the strongest first, and omit a word that would cover another or a dot."""
    # In points of the figure, because font sizes are in points.
    points = axes.transData.transform(word_map.positions_W2) * 72 / axes.figure.dpi
    # Dots of words that contribute little may be covered: they are many and pale.
    occupied = [_Box(x - 3, y - 3, x + 3, y + 3) for x, y in points[strength > PALE]]
    for word in np.argsort(-strength, kind="stable").tolist():
        name, (x, y) = word_map.words[word], points[word]
        width = CHARACTER_WIDTH * len(name)
        for shift_x, shift_y, align in ((5, 0, "left"), (-5, 0, "right"), (0, 8, "center"), (0, -8, "center")):
            left = x + shift_x - {"left": 0, "right": width, "center": width / 2}[align]
            box = _Box(left, y + shift_y - LINE_HEIGHT / 2, left + width, y + shift_y + LINE_HEIGHT / 2)
            if not any(box.overlaps(other) for other in occupied):
                occupied.append(box)
                axes.annotate(
                    name,
                    word_map.positions_W2[word],
                    (shift_x, shift_y),
                    textcoords="offset points",
                    ha=align,
                    va="center_baseline",
                    fontsize=8,
                )
                break
