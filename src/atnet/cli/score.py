"""`atnet score`: score a file, a folder of partitions or a SQL table with the champion.

Exit codes: 0 done or up to date, 1 error, failed partitions or a folder without data files, 2 wrong usage.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atnet.cli.option_fields import takes_fields_of
from atnet.scoring.options import ScoringOptions, scoring_job
from atnet.scoring.score import score as score_texts

app = typer.Typer()

DAY = ["%Y-%m-%d"]


class Format(StrEnum):
    """How outputs are written."""

    parquet = "parquet"
    csv = "csv"
    jsonl = "jsonl"


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments and options of the command."""

    source: Annotated[str, typer.Argument(metavar="INPUT", help="File, folder of partitions, or URL::TABLE.")]
    target: Annotated[str, typer.Argument(metavar="OUTPUT", help="File, folder (of a folder), or URL::TABLE.")]
    explain: Annotated[int, typer.Option(min=0, help="Add this many words with the largest contributions.")] = 0
    force: Annotated[bool, typer.Option("--force", help="Score everything, and replace any file.")] = False
    stale: Annotated[bool, typer.Option("--stale", help="Also rescore what another version has scored.")] = False
    first: Annotated[datetime | None, typer.Option("--from", formats=DAY, help="Oldest day to score.")] = None
    last: Annotated[datetime | None, typer.Option("--to", formats=DAY, help="Newest day to score.")] = None
    with_text: Annotated[bool, typer.Option("--with-text", help="Write the texts to the output.")] = False
    keep_rejected: Annotated[
        bool, typer.Option("--keep-rejected", help="Also write rejected rows to the output, without a label.")
    ] = False
    number_duplicates: Annotated[
        bool, typer.Option("--number-duplicates", help="Append #2, #3, ... to repeated ids.")
    ] = False
    number_rows: Annotated[bool, typer.Option("--number-rows", help="Use row numbers as ids.")] = False
    text_column: Annotated[str | None, typer.Option(help="Column of the texts; default data.columns.text.")] = None
    id_column: Annotated[str | None, typer.Option(help="Column of the ids; default data.columns.id.")] = None
    partition_column: Annotated[str | None, typer.Option(help="Column that divides a SQL table.")] = None
    output_format: Annotated[Format, typer.Option("--format", help="Format of files in a folder.")] = Format.parquet
    alias: Annotated[str, typer.Option(help="Alias of the version that scores.")] = "champion"

    def scoring_options(self) -> ScoringOptions:
        """Return the options of the library."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        own = ("source", "target", "first", "last", "output_format")
        return ScoringOptions(
            first=self.first.date() if self.first else None,
            last=self.last.date() if self.last else None,
            format=self.output_format.value,
            **{name: value for name, value in values.items() if name not in own},
        )


@app.command()
@takes_fields_of(Arguments)
def score(given: Arguments) -> None:
    """Score texts with the champion; what has been scored is not scored again."""
    job = scoring_job(given.source, given.target, given.scoring_options(), Path.cwd())
    outcome = score_texts(job, now=datetime.now(UTC))
    if not outcome.plan.has_input:
        # A warning has named it.
        raise typer.Exit(1)
    print(f"score: {outcome.summary()}")
    if outcome.failed:
        raise typer.Exit(1)
