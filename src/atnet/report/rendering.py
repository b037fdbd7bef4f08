"""The templates of reports, cards and analyses, set up in one way."""

from collections.abc import Callable, Mapping

import jinja2


def page_template(name: str, filters: Mapping[str, Callable[..., str]]) -> jinja2.Template:
    """Load a template with its filters; HTML is escaped, and a name that is not given is an error."""
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("atnet.report", "templates"),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters.update(filters)
    return pages.get_template(name)
