"""The templates of reports, model cards and analyses, and how they write numbers."""

import functools
import re
from collections.abc import Callable, Mapping

import jinja2
import markupsafe

from atnet.formatting import count, fixed, interval, p_value, percent, points, signed, with_interval
from atnet.report.sentences import display_name

CODE_SPAN = re.compile(r"`([^`]+)`")


def _with_minus(form: Callable[[float], str]) -> Callable[[float], str]:
    """Write a real minus sign in place of the hyphen, which is hard to see in a page."""
    return lambda value: form(value).replace("-", "−")


def code_spans(text: str) -> markupsafe.Markup:
    """Return text as HTML in which `commands` between backticks are code; everything else is escaped."""
    return markupsafe.Markup(CODE_SPAN.sub(r"<code>\1</code>", str(markupsafe.escape(text))))


FORMATS = {"percent": percent, "fixed": fixed, "points": _with_minus(points), "signed": _with_minus(signed)}
FILTERS: dict[str, Callable[..., str]] = {
    **FORMATS,
    "count": count,
    "p_value": p_value,
    "display_name": display_name,
    "code_spans": code_spans,
    # {{ value | number("percent") }}: the format as an argument.
    "number": lambda value, form: FORMATS[form](value),
    # {{ score | interval("percent") }} writes '81.5% to 84.9%'.
    "interval": lambda score, form: interval(score, FORMATS[form]),
    "with_interval": lambda score, form: with_interval(score, FORMATS[form]),
}


def page_template(name: str, filters: Mapping[str, Callable[..., str]] | None = None) -> jinja2.Template:
    """Load a template; HTML is escaped, and a missing variable is an error."""
    return _template(name, tuple({**FILTERS, **(filters or {})}.items()))


@functools.cache
def _template(name: str, filters: tuple[tuple[str, Callable[..., str]], ...]) -> jinja2.Template:
    # Compiling a template takes longer than rendering it.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("atnet.report", "templates"),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
