"""Tables for people: colored on a terminal, plain text elsewhere."""

import sys
from collections.abc import Mapping, Sequence

STYLES = {
    "ok": "green",
    "promoted": "green",
    "note": "yellow",
    "warning": "yellow",
    "pending_approval": "yellow",
    "rejected": "red",
    "rolled_back": "red",
    "fault": "bold red",
}
"""Cell text -> style on a terminal."""


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, styles: Mapping[str, str] = STYLES, header: bool = True
) -> None:
    """Print rows in aligned columns; the last column takes the rest of the line."""
    if sys.stdout.isatty():
        _print_styled(columns, rows, styles, header)
        return
    lines = [tuple(columns), *rows] if header else list(rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns) - 1)]
    for line in lines:
        cells = [f"{cell:<{width}}" for cell, width in zip(line[:-1], widths, strict=True)]
        print("  ".join([*cells, line[-1]]).rstrip())


def _print_styled(
    columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str], header: bool
) -> None:
    # Only here: a pipe needs none of it, and it takes a while to import.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    Console().print(table)
