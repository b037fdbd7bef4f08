"""The status as an HTML page that needs no network."""

from collections.abc import Sequence
from datetime import datetime

from atnet.registry.ledger import COLUMNS
from atnet.report.rendering import page_template
from atnet.status.item import Level, StatusItem

LEVELS: tuple[Level, ...] = ("ok", "note", "fault")
"""From the best to the worst."""


def status_page(model: str, items: Sequence[StatusItem], releases: Sequence[tuple[str, ...]], time: datetime) -> str:
    """Return the page.

    Args:
        model: name of the registered model.
        items: of `collect_status`.
        releases: rows of the ledger, newest first.
        time: when the status was collected.
    """
    return page_template("status.html").render(
        model=model,
        time=f"{time:%Y-%m-%d %H:%M}",
        summary=summary_line(items),
        level=worst_level(items),
        items=items,
        columns=COLUMNS,
        releases=releases,
    )


def worst_level(items: Sequence[StatusItem]) -> Level:
    """Return the level of the part that needs attention most."""
    return max((item.level for item in items), key=LEVELS.index, default="ok")


def summary_line(items: Sequence[StatusItem]) -> str:
    """Return a sentence about how many parts have a fault or need attention."""
    faults = [item.subject for item in items if item.level == "fault"]
    notes = [item.subject for item in items if item.level == "note"]
    if faults:
        return f"Faults: {', '.join(faults)}."
    if notes:
        return f"No faults. Needs attention: {', '.join(notes)}."
    return "Everything is in order."
