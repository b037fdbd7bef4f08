"""An explanation as a picture: a text cut into pieces, each with its contribution and its attention."""

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
    contribution: float = 0.0
    """Logits for the label (above 0) or against it."""
    attended: float = 0.0
    """Weight over the text's largest weight: 0 (nothing) to 1 (the most)."""
    strength: float = 0.0
    """Contribution over the text's largest in size: -1 (most against) to 1 (most for)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole text as pieces, in reading order."""

    pieces: list[Piece]
    left_out: int
    """Tokens past the last piece shown."""
    left_out_weight: float
    """Share of the attention they got."""
    left_out_contribution: float
    """What they contributed together."""
    base: float
    """The label's lead before any word is read, in logits."""
    total: float
    """What all words contributed, in logits."""


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    weight: float
    contribution: float


def picture(explanation: Explanation, *, limit: int = PIECES_SHOWN) -> Picture:
    """Cut a text at its tokens; every character of the part shown stands in exactly one piece."""
    spans, text = _merged(explanation), explanation.text
    most_attended = max((span.weight for span in spans), default=0.0) or 1.0
    most_telling = max((abs(span.contribution) for span in spans), default=0.0) or 1.0
    pieces: list[Piece] = []
    position = 0
    for span in spans[:limit]:
        if span.start > position:
            pieces.append(Piece(text[position : span.start], None))
        shares = (span.weight / most_attended, span.contribution / most_telling)
        pieces.append(Piece(text[span.start : span.end], span.weight, span.contribution, *shares))
        position = span.end
    rest = spans[limit:]
    if not rest and position < len(text):
        pieces.append(Piece(text[position:], None))
    return Picture(
        pieces=pieces,
        left_out=len(rest),
        left_out_weight=sum(span.weight for span in rest),
        left_out_contribution=sum(span.contribution for span in rest),
        base=explanation.base,
        total=sum(explanation.contributions),
    )


def _merged(explanation: Explanation) -> list[_Span]:
    """Join tokens that share characters, as the byte pieces of one emoji do."""
    spans: list[_Span] = []
    shares = zip(explanation.spans, explanation.attention, explanation.contributions, strict=True)
    for (start, end), weight, contribution in shares:
        if spans and start < spans[-1].end:
            last = spans.pop()
            spans.append(_Span(last.start, max(last.end, end), last.weight + weight, last.contribution + contribution))
        elif end > start:
            spans.append(_Span(start, end, weight, contribution))
    return spans
