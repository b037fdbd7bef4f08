"""Great Expectations' Data Docs as pages that need no network and are the same for the same results.

Its own site builder writes the time of the run into every page and path, and its pages load their styles and scripts
from the internet. Here its renderers produce the contents, and its page view gets other page templates: one style
sheet in each page, no script, and an index that is a plain list. The pages do not show when the checks ran.
"""

import html
from collections.abc import Sequence
from itertools import count
from typing import Any

import jinja2
import numpy as np
from great_expectations.render.renderer.page_renderer import ExpectationSuitePageRenderer, ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaPageView

from atnet.data.expectations import SuiteRun

# These classes have no types.
SuiteRenderer: Any = ExpectationSuitePageRenderer
ResultRenderer: Any = ValidationResultsPageRenderer
VARIABLE_META = ("run_id", "batch_markers", "checkpoint_id", "validation_id")
"""What differs from run to run: when it started, when the data were loaded, random ids."""


class OfflinePageView(DefaultJinjaPageView):
    """Great Expectations' page view with the templates of this project, without random ids and unescaped values."""

    def __init__(self) -> None:
        super().__init__()
        templates = (jinja2.PackageLoader("atnet.report", f"templates{folder}") for folder in ("/data_docs", ""))
        assert self.env.loader is not None
        self.env.loader = jinja2.ChoiceLoader([*templates, self.env.loader])
        self._element_numbers = count(1)

    def generate_html_element_uuid(self, prefix: str | None = None) -> str:
        """Return a number for each element of a page instead of a random UUID."""
        return f"{prefix or ''}{next(self._element_numbers)}"

    @jinja2.pass_context
    def render_content_block(self, jinja_context: Any, content_block: Any, *arguments: Any, **options: Any) -> Any:
        """Render a block; a bare string, which may be a value of the data, is escaped."""
        if isinstance(content_block, str):
            return html.escape(content_block)
        return super().render_content_block(jinja_context, content_block, *arguments, **options)


def render_data_docs(runs: Sequence[SuiteRun]) -> dict[str, str]:
    """Render a page for each suite and each result, and an index: path within the site -> contents."""
    pages: dict[str, str] = {}
    for run in runs:
        name = run.suite.name
        pages[f"validations/{name}.html"] = _result_page(run)
        pages[f"expectations/{name}.html"] = _page(SuiteRenderer().render(run.suite), f"Suite {name}")
    index = OfflinePageView().env.get_template("index.j2")
    pages["index.html"] = index.render(suites=[_index_entry(run) for run in runs])
    return pages


def _result_page(run: SuiteRun) -> str:
    for key in VARIABLE_META:
        run.result.meta.pop(key, None)
    run.result.meta["batch_spec"] = {"data_asset_name": run.suite.name}
    for result in run.result.results:
        # The renderer accepts Python's numbers only.
        observed = result.result.get("observed_value")
        result.result["observed_value"] = observed.item() if isinstance(observed, np.generic) else observed
    document = ResultRenderer().render(run.result)
    page = _page(document, f"Result of suite {run.suite.name}")
    # The renderer links the suite as if the page were four folders deep.
    return page.replace("../../../../expectations/", "../expectations/")


def _page(document: Any, title: str) -> str:
    view: Any = OfflinePageView()
    return str(view.render(document, title=title))


def _index_entry(run: SuiteRun) -> dict[str, Any]:
    checks = [
        {
            "name": result.expectation_config.meta.get("check", result.expectation_config.type),
            "type": result.expectation_config.type,
            "severity": str(result.expectation_config.severity.value),
            "passed": bool(result.success),
        }
        for result in run.result.results
    ]
    return {"name": run.suite.name, "failed": sum(not check["passed"] for check in checks), "checks": checks}
