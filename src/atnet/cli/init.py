"""`atnet init`: from a file of your own to settings, and with `--train` to a model.

Exit codes: 0 done, 1 error or a question that an option answers, 2 wrong usage.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from atnet.cli.option_fields import takes_fields_of
from atnet.onboarding.options import FileFormat, Quoting, Stars, parse_label_map, parse_list

app = typer.Typer()
TRAIN_COMMANDS = (("dvc", "repro"), ("atnet.cli", "publish"), ("atnet.cli", "summary"))
"""What `make pipeline` runs after `atnet check`: modules and their arguments."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments and options of the command."""

    file: Annotated[Path | None, typer.Argument(help="CSV, JSON Lines, Parquet, SQLite or a label export.")] = None
    text: Annotated[str | None, typer.Option(help="Column of the texts.")] = None
    label: Annotated[str | None, typer.Option(help="Column of the labels; none: the rating's sign.")] = None
    row_id: Annotated[str | None, typer.Option("--id", help="Column of unique ids, or none.")] = None
    split: Annotated[str | None, typer.Option(help="Column of the official split, or none.")] = None
    rating: Annotated[str | None, typer.Option(help="Column of signed ratings, or none.")] = None
    slices: Annotated[str | None, typer.Option(help="Columns to break scores down by: a,b or none.")] = None
    label_map: Annotated[str | None, typer.Option(help="Label map: 0=bad,1=good,?= (excludes ?), or none.")] = None
    stars: Annotated[Stars, typer.Option(help="How one to five stars become labels.")] = "two"
    file_format: Annotated[FileFormat | None, typer.Option("--format", help="Format of the file.")] = None
    encoding: Annotated[str | None, typer.Option(help="Character encoding.")] = None
    separator: Annotated[str | None, typer.Option(help="Separator of CSV.")] = None
    quoting: Annotated[Quoting | None, typer.Option(help="Quoting of CSV; none: quotes are text.")] = None
    sql: Annotated[str | None, typer.Option(help="Query to import with `dvc import-db`.")] = None
    table: Annotated[str | None, typer.Option(help="Table to import with `dvc import-db`.")] = None
    connection: Annotated[str | None, typer.Option(help="Database address, or its name in DVC.")] = None
    name: Annotated[str, typer.Option(help="Name of the imported data and of the connection.")] = "query"
    replace: Annotated[bool, typer.Option("--replace", help="Replace another file of the same name.")] = False
    yes: Annotated[bool, typer.Option("--yes", help="Write the settings without asking.")] = False
    train: Annotated[bool, typer.Option("--train", help="Train, evaluate and publish a model afterwards.")] = False

    @property
    def is_interactive(self) -> bool:
        """Return whether a person can answer questions."""
        return not self.yes and sys.stdin.isatty() and sys.stdout.isatty()


@app.command()
@takes_fields_of(Arguments)
def init(given: Arguments) -> None:
    """Propose settings for your own file, write them to params.yaml, add the file to DVC and check it."""
    from atnet.cli.setup import InitOptions, SourceOptions, set_up
    from atnet.onboarding.column_roles import ColumnOptions
    from atnet.onboarding.proposal import LabelOptions
    from atnet.onboarding.sniffing import ReadingOptions

    columns = given.text, given.label, given.row_id, given.split, given.rating, parse_list(given.slices)
    options = InitOptions(
        source=SourceOptions(given.file, given.sql, given.table, given.connection, given.name, given.replace),
        reading=ReadingOptions(given.file_format, given.encoding, given.separator, given.quoting),
        columns=ColumnOptions(*columns),
        labels=LabelOptions(parse_label_map(given.label_map), given.stars),
        interactive=given.is_interactive,
        write=given.yes or given.train,
    )
    if not set_up(Path.cwd(), options):
        raise typer.Exit(1)
    if given.train:
        run_commands(TRAIN_COMMANDS)
    else:
        print("init: next, train a model: make pipeline")


def run_commands(commands: Sequence[Sequence[str]]) -> None:
    """Run modules of this environment one after the other; their output goes to the terminal."""
    # DVC's stages call `python`, which must be this environment's even if it is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for module, *arguments in commands:
        finished = subprocess.run([sys.executable, "-m", module, *arguments], env={**os.environ, "PATH": path})
        if finished.returncode != 0:
            raise typer.Exit(1)
