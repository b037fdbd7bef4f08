"""An explanation as highlighted text: the text cut into pieces, each with its contribution and its attention."""

from dataclasses import dataclass

from atnet.inference import Explanation

MAX_PIECES = 160
"""Highlighted pieces of a long text; the rest is summed up."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text: a token, or what is between two tokens."""

    text: str
    attention: float | None
    """Attention weight; None if the model has no token here."""
    contribution: float = 0.0
    """Logits for the label (above 0) or against it."""
    relative_attention: float = 0.0
    """Attention weight divided by the text's largest: 0 to 1."""
    relative_contribution: float = 0.0
    """Contribution divided by the text's largest absolute one: -1 to 1."""


@dataclass(frozen=True, slots=True)
class HighlightedText:
    """A whole text as pieces, in reading order."""

    pieces: list[Piece]
    omitted: int
    """Tokens after the last piece."""
    omitted_attention: float
    omitted_contribution: float
    base: float
    """The label's margin over the others for an empty text, in logits."""
    total: float
    """What all words contribute together, in logits."""


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    attention: float
    contribution: float


def highlight(explanation: Explanation, *, limit: int = MAX_PIECES) -> HighlightedText:
    """Cut a text at its tokens; every character of the part shown is in exactly one piece."""
    spans, text = _merge_overlapping(explanation), explanation.text
    max_attention = max((span.attention for span in spans), default=0.0) or 1.0
    max_contribution = max((abs(span.contribution) for span in spans), default=0.0) or 1.0
    pieces: list[Piece] = []
    position = 0
    for span in spans[:limit]:
        if span.start > position:
            pieces.append(Piece(text[position : span.start], None))
        relative = (span.attention / max_attention, span.contribution / max_contribution)
        pieces.append(Piece(text[span.start : span.end], span.attention, span.contribution, *relative))
        position = span.end
    omitted = spans[limit:]
    if not omitted and position < len(text):
        pieces.append(Piece(text[position:], None))
    return HighlightedText(
        pieces=pieces,
        omitted=len(omitted),
        omitted_attention=sum(span.attention for span in omitted),
        omitted_contribution=sum(span.contribution for span in omitted),
        base=explanation.base,
        total=sum(explanation.contributions),
    )


def _merge_overlapping(explanation: Explanation) -> list[_Span]:
    """Merge tokens that share characters, like the byte tokens of one emoji."""
    spans: list[_Span] = []
    tokens = zip(explanation.spans, explanation.attention, explanation.contributions, strict=True)
    for (start, end), attention, contribution in tokens:
        if spans and start < spans[-1].end:
            last = spans.pop()
            merged_end = max(last.end, end)
            spans.append(_Span(last.start, merged_end, last.attention + attention, last.contribution + contribution))
        elif end > start:
            spans.append(_Span(start, end, attention, contribution))
    return spans
