"""The steps of `atnet init`: read the file, propose, ask, write, check."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from atnet.cli.check import check_inputs
from atnet.config import DataConfig, Params, parse_params
from atnet.data.reader import SourceFile
from atnet.diagnosis.pipeline import require_runnable
from atnet.errors import ConfigurationError, DataError, DataFileError
from atnet.file_system import require_no_pipe
from atnet.files import PARAMS_FILE, RAW
from atnet.git_dvc import run_dvc
from atnet.onboarding.annotation_exports import AnnotationExport, read_annotation_export
from atnet.onboarding.choices import Choice, OpenQuestion
from atnet.onboarding.column_roles import ColumnOptions
from atnet.onboarding.database import DatabaseQuery, import_query, is_sqlite, sqlite_query
from atnet.onboarding.evidence import evidence_lines
from atnet.onboarding.placing import copy_file, target_path, write_json_lines
from atnet.onboarding.proposal import LabelOptions, Proposal, propose_settings
from atnet.onboarding.sniffing import ReadingOptions, sniff_file
from atnet.params_edit import edit_values, unified_diff
from atnet.storage import load_params, write_text

NOTHING_WRITTEN = "Nothing was written. Add --yes to write these settings, or other options to change them."
WRITTEN_ALREADY = (
    "The settings are in params.yaml nevertheless. Fix your file and run `atnet init FILE --replace`, or edit "
    "params.yaml and run `atnet check`. `git checkout params.yaml` restores the committed settings."
)
UNQUOTED_RETURNS = (
    "DVC writes texts with carriage returns without quotes. Replace them in the query, in SQLite for example: "
    "--sql \"select replace(text, char(13), ' ') as text, label from reviews\"."
)


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where the data come from: a file, or a query."""

    file: Path | None
    sql: str | None = None
    table: str | None = None
    connection: str | None = None
    name: str = "query"
    replace: bool = False


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The user's options."""

    source: SourceOptions
    reading: ReadingOptions
    columns: ColumnOptions
    labels: LabelOptions
    interactive: bool
    write: bool
    """Write without asking."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """The file, read, and where the pipeline will find it."""

    path: Path
    table: pd.DataFrame
    data: DataConfig
    """Section `data`, with the path that the pipeline will use."""
    description: str
    export: AnnotationExport | None = None
    tracked: bool = False
    """Whether DVC tracks it already."""


def set_up(root: Path, options: InitOptions) -> bool:
    """Run all steps; return whether the settings were written.

    Raises:
        AtnetError: if the file cannot be read, a question is open, or the file does not pass the checks.
    """
    params = load_params(root / PARAMS_FILE)
    require_runnable(root)
    source = _read(root, params, options)
    print(f"init: {source.description}")
    proposal = _propose(source, options)
    for line in _proposal_lines(proposal):
        print(f"  {line}")
    before = (root / PARAMS_FILE).read_text(encoding="utf-8")
    after = edit_values(before, proposal.settings)
    print(f"\n{unified_diff(before, after) or 'params.yaml has these settings already.'}")
    if not _confirmed(options):
        print(f"init: {NOTHING_WRITTEN}")
        return False
    _place(root, source, replace_other=options.source.replace)
    write_text(root / PARAMS_FILE, after)
    for line in _check(after):
        print(f"check: {line}")
    print(f"init: params.yaml and {source.data.path}.dvc describe your data; commit both once you are satisfied.")
    return True


def _check(params_text: str) -> list[str]:
    try:
        return check_inputs(parse_params(params_text))
    except (ConfigurationError, DataError) as error:
        raise DataError(f"{error}\n{WRITTEN_ALREADY}") from error


def _read(root: Path, params: Params, options: InitOptions) -> InputFile:
    path, tracked = _source_path(root, options.source), False
    if not isinstance(path, Path):
        path, tracked = import_query(root, path), True
    if not (root / path).exists():
        raise DataFileError(f"{path} does not exist. Check the path: atnet init FILE.")
    if (root / path).is_dir():
        raise DataFileError(f"{path} is a folder. Give the path of the file in it: atnet init FILE.")
    require_no_pipe(root / path)
    export = read_annotation_export(path)
    if export is not None:
        target = RAW / f"{path.name.split('.')[0]}.jsonl"
        data = params.data.model_copy(
            update={"path": str(target), "format": "auto", "encoding": "utf-8", "separator": "auto", "quoting": "auto"}
        )
        description = "; ".join([f"{path}: {export.tool}, {len(export.table):,} labeled texts", *export.notes])
        return InputFile(path, export.table, data, description, export)
    try:
        sniffed = sniff_file(path, params.data, options.reading)
    except DataFileError as error:
        raise DataFileError(f"{error} {UNQUOTED_RETURNS}") if tracked else error from error
    data = sniffed.data.model_copy(update={"path": str(target_path(root, path))})
    return InputFile(path, sniffed.table, data, _describe(path, sniffed.source, sniffed.data), tracked=tracked)


def _source_path(root: Path, source: SourceOptions) -> Path | DatabaseQuery:
    """Return the file, or the query whose result becomes one."""
    if source.file is not None and (root / source.file).is_file() and is_sqlite(root / source.file):
        return sqlite_query(root / source.file, source.sql, source.table)
    if source.file is not None:
        return source.file
    if source.connection is None:
        raise ConfigurationError("Give a file, or a query: --sql QUERY --connection ADDRESS.")
    return DatabaseQuery(source.connection, source.sql, source.table, source.name)


def _describe(path: Path, source: SourceFile, data: DataConfig) -> str:
    details = [f"{source.rows:,} rows", source.format]
    if source.format != "parquet":
        details.append(data.encoding)
    if source.separator is not None:
        details.append(f"separator {'tab' if source.separator == chr(9) else source.separator!r}")
    return f"{path}: {', '.join(details)}"


def _propose(source: InputFile, options: InitOptions) -> Proposal:
    """Propose settings; on a terminal, ask what the file leaves open."""
    columns = options.columns
    if source.export is not None and source.export.label is not None and columns.label is None:
        columns = replace(columns, label=source.export.label)
    while True:
        try:
            return propose_settings(source.table, source.data, columns, options.labels)
        except OpenQuestion as question:
            if not options.interactive:
                raise
            answers: dict[str, Any] = {choice.option.removeprefix("--"): _ask(choice) for choice in question.choices}
            columns = replace(columns, **answers)


def _ask(choice: Choice) -> str:
    print(choice.question)
    for position, answer in enumerate(choice.answers, start=1):
        print(f"  {position}  {answer}")
    number = 0
    while not 1 <= number <= len(choice.answers):
        number = typer.prompt(f"Number (1 to {len(choice.answers)})", type=int)
    return choice.answers[number - 1]


def _proposal_lines(proposal: Proposal) -> Iterator[str]:
    yield from evidence_lines(proposal.evidence, proposal.label_map)
    for what, reason in proposal.reasons:
        yield f"{what:<12} {reason}"


def _confirmed(options: InitOptions) -> bool:
    if options.write or not options.interactive:
        return options.write
    return typer.confirm("Write these settings to params.yaml?", default=True)


def _place(root: Path, source: InputFile, *, replace_other: bool) -> None:
    """Put the file in its place and let DVC track it."""
    target = Path(source.data.path)
    if source.export is not None:
        write_json_lines(root, source.table, target, replace=replace_other)
    elif copy_file(root, source.path, target, replace=replace_other):
        print(f"init: copied {source.path} to {target}")
    if not source.tracked:
        run_dvc(["add", str(target)], root)
