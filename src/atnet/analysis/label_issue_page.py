"""The label issues as a page: HTML that needs no other file, no script and no network."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from atnet.analysis.rating_agreement import RatingAgreement, describe_agreement
from atnet.report.rendering import page_template
from atnet.schema import RATING

MAX_ROWS = 300
"""Shown on the page; the CSV file has all."""
MAX_CHARACTERS = 400


def label_issue_page(listed: pd.DataFrame, summary: Mapping[str, Any], agreement: RatingAgreement | None) -> str:
    """Write the label issues as a page, with the comparison with the ratings if there are any.

    Args:
        listed: from `label_issue_table`.
        summary: as in label_issues.json.
        agreement: from `compare_with_ratings`; None without ratings.
    """
    rows = listed.head(MAX_ROWS).to_dict("records")
    for row in rows:
        row["cut"] = len(row["text"]) > MAX_CHARACTERS
        row["text"] = row["text"][:MAX_CHARACTERS]
    return page_template("label_issues.html").render(
        rows=rows,
        total=len(listed),
        summary=summary,
        agreement=agreement,
        sentences=describe_agreement(agreement) if agreement else [],
        has_rating=RATING in listed.columns,
    )
