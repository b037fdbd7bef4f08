"""How values are written for people: numbers, scores with intervals, Markdown tables and text, spreadsheet cells."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

MISSING = "—"
"""Written for a number that is not defined."""
HTML_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKDOWN_MARKS = re.compile(r"[\\`*_{}\[\]#|~!&<>]")
"""Characters that mean something in Markdown or HTML."""
LINE_START = re.compile(r"^(\d+)([.)])|^([-+=])")
"""What would open a list or underline a heading at the start of a line."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With these, a spreadsheet takes a cell for a formula (OWASP, CSV injection)."""


class Bounded(Protocol):
    """A value with the bounds of its confidence interval."""

    @property
    def value(self) -> float:
        """Return the point estimate."""

    @property
    def low(self) -> float:
        """Return the lower bound."""

    @property
    def high(self) -> float:
        """Return the upper bound."""


Score = float | Mapping[str, float] | Bounded
"""A number, or a value with bounds, as a dataclass or as JSON has it."""
NumberFormat = Callable[[float], str]


def percent(value: float) -> str:
    """Write a share as a percentage: 83.2%."""
    return _written(value, "{:.1%}")


def fixed(value: float) -> str:
    """Write a score with three decimals: 0.832."""
    return _written(value, "{:.3f}")


def signed(value: float) -> str:
    """Write a difference with sign and three decimals: +0.012."""
    return _written(value, "{:+z.3f}")


def points(difference: float) -> str:
    """Write a difference of shares in percentage points: +1.2."""
    return _written(100 * difference, "{:+z.1f}")


def count(value: float) -> str:
    """Write a whole number with thousands separators: 19,136."""
    return f"{value:,}"


def p_value(value: float) -> str:
    """Write a p-value with its relation: '= 0.031' or '< 0.001'."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def interval(score: Score, form: NumberFormat) -> str:
    """Write the bounds of a score: '81.5% to 84.9%'.

    Raises:
        TypeError: if the score is a plain number.
    """
    bounds = _bounds(score)
    if bounds is None:
        raise TypeError(f"{score!r} has no bounds")
    return f"{form(bounds[0])} to {form(bounds[1])}"


def with_interval(score: Score, form: NumberFormat) -> str:
    """Write a score and, where it has bounds, its interval: '83.2% (81.5% to 84.9%)'."""
    bounds = "" if _bounds(score) is None else f" ({interval(score, form)})"
    return f"{form(point_estimate(score))}{bounds}"


def point_estimate(score: Score) -> float:
    """Return the value of a score, without its bounds."""
    if isinstance(score, int | float):
        return float(score)
    return float(score["value"]) if isinstance(score, Mapping) else float(score.value)


def markdown_text(text: object) -> str:
    """Escape a text, so that Markdown shows it as it is, on one line."""
    # Entities for the marks of HTML: not every Markdown dialect takes a backslash before them.
    line = MARKDOWN_MARKS.sub(lambda mark: HTML_ENTITIES.get(mark[0], f"\\{mark[0]}"), " ".join(str(text).split()))
    return LINE_START.sub(lambda match: f"{match[1]}\\{match[2]}" if match[1] else f"\\{match[3]}", line)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; cells are Markdown already, see `markdown_text`."""
    lines = [header, ["---"] * len(header), *([" ".join(cell.split()) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code_block(text: str, language: str = "") -> str:
    """Write a fenced code block; the fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def defuse_formula(cell: Any) -> Any:
    """Prefix a text that a spreadsheet would run as a formula with an apostrophe; numbers stay as they are."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA_STARTS) or _is_number(cell):
        return cell
    return f"'{cell}"


def _is_number(text: str) -> bool:
    # "-1" is a common label; "-1+2" is a formula.
    return re.fullmatch(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", text, re.IGNORECASE | re.ASCII) is not None


def _bounds(score: Score) -> tuple[float, float] | None:
    if isinstance(score, int | float):
        return None
    return (score["low"], score["high"]) if isinstance(score, Mapping) else (score.low, score.high)


def _written(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else MISSING
