"""Attention as a picture: a text cut into pieces, each with the weight it got."""

from dataclasses import dataclass

from atnet.inference import Explanation

PIECES_SHOWN = 160
"""Pieces of a long text that are shown; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text; between two tokens stand pieces without weight."""

    text: str
    weight: float | None
    """Share of the attention, None where the model saw no token."""
    strength: float
    """Weight over the text's largest weight: 0 (nothing) to 1 (the most)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole text as pieces, in reading order."""

    pieces: list[Piece]
    left_out: int
    """Tokens past the last piece shown."""
    left_out_weight: float
    """Share of the attention they got."""


def picture(explanation: Explanation, *, limit: int = PIECES_SHOWN) -> Picture:
    """Cut a text at its tokens; every character of the part shown stands in exactly one piece."""
    spans = _merged(explanation)
    largest = max((weight for _, _, weight in spans), default=0.0) or 1.0
    pieces: list[Piece] = []
    position = 0
    for start, end, weight in spans[:limit]:
        if start > position:
            pieces.append(Piece(explanation.text[position:start], None, 0.0))
        pieces.append(Piece(explanation.text[start:end], weight, weight / largest))
        position = end
    rest = spans[limit:]
    if not rest and position < len(explanation.text):
        pieces.append(Piece(explanation.text[position:], None, 0.0))
    return Picture(
        pieces=pieces,
        left_out=len(rest),
        left_out_weight=sum(weight for _, _, weight in rest),
    )


def _merged(explanation: Explanation) -> list[tuple[int, int, float]]:
    """Join tokens that share characters, as the byte pieces of one emoji do."""
    spans: list[tuple[int, int, float]] = []
    for (start, end), weight in zip(explanation.spans, explanation.attention, strict=True):
        if spans and start < spans[-1][1]:
            first, last, before = spans[-1]
            spans[-1] = (first, max(last, end), before + weight)
        elif end > start:
            spans.append((start, end, weight))
    return spans
