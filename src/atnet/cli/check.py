"""`atnet check`: find problems that would make a stage fail, before DVC deletes the stage's outputs."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import typer

from atnet.config import Params
from atnet.data.check_results import CheckRunner, PlainRunner
from atnet.data.encodings import check_encoding
from atnet.data.label_checks import (
    check_label_map,
    check_label_settings,
    check_label_source,
    check_labels,
    unmatched_keys,
)
from atnet.data.label_mapping import expected_labels, fold_label_settings
from atnet.data.own_expectations import load_own_expectations, missing_expectations_error
from atnet.data.quality_report import describe_failures, describe_warnings, notes, teacher_only, top_reasons
from atnet.data.raw_table import needed_disk, spill_raw_columns
from atnet.data.reading_settings import settings_to_read
from atnet.data.teacher import check_teacher_labels
from atnet.data.validate_file import DataFile, ignore_rows, label_counts, validate_file
from atnet.data.validation import ValidationResult
from atnet.diagnosis.foreign_files import require_no_foreign_files
from atnet.diagnosis.pipeline import require_runnable
from atnet.diagnosis.vector_inputs import check_place, check_vector_inputs
from atnet.environment import environment_notes
from atnet.errors import AtnetError, ConfigurationError, DataContractError, DataError, DataFileError
from atnet.files import DEFAULT_DATA
from atnet.redaction import has_credentials
from atnet.spill import require_free_disk, spill_folder
from atnet.storage import load_params

app = typer.Typer()
MAX_LABELS = 10
"""Labels listed in the summary."""
LABEL_CHECKS = frozenset({"label_count", "mean_rows_per_label", "rows_per_label", "class_balance"})
"""Table checks that fail too where `check_labels` finds a problem."""


@app.command()
def check() -> None:
    """Check parameters and data before DVC deletes any output."""
    params = load_params()
    require_runnable(Path.cwd())
    require_no_foreign_files(Path.cwd(), default_data=Path(params.data.path) == DEFAULT_DATA)
    if not Path(params.validate_.expectations).exists():
        raise missing_expectations_error(Path(params.validate_.expectations))
    for line in [*check_inputs(params), *environment_notes(Path.cwd()), *secret_notes(params)]:
        print(f"check: {line}")


def check_inputs(params: Params) -> list[str]:
    """Check the parameters and the data file for everything that would make a stage fail.

    Paths are relative to the current folder.

    Returns:
        Lines that summarize the data file, and notes.

    Raises:
        AtnetError: with every problem and its next step.
    """
    path = Path(params.data.path)
    problems = _problems(
        lambda: check_place(path, "data.path"),
        lambda: check_encoding(params.data.encoding),
        lambda: check_label_settings(fold_label_settings(params.validate_)),
    )
    if not path.exists() and path != DEFAULT_DATA:
        problems.append(missing_file_error(path))
    _raise(problems)
    if not path.exists():
        missing = f"{path} does not exist yet: the sample stage will download the default data."
        return [missing, *check_vector_inputs(params, None, Path())]
    require_free_disk(Path(), needed_disk(path), f"`atnet check` of {path}")
    with spill_folder(Path(), "check") as folder:
        return _check_file(params, folder / "raw.arrow")


def _check_file(params: Params, spilled: Path) -> list[str]:
    """Check the data file, read in batches into the file `spilled`; see `check_inputs`."""
    path = Path(params.data.path)
    with _settings_to_set(params):
        file = DataFile(path, params.data, spill_raw_columns(path, params.data, spilled))
    params, problems = _matching_label_map(params, file)
    problems += _problems(lambda: check_label_source(params.data.columns, params.validate_))
    runner = _runner(params)
    with _settings_to_set(params):
        result = validate_file(file, params.validate_, runner, ignore_rows)
    vector_lines: list[str] = []
    vector_problems = _problems(lambda: vector_lines.extend(check_vector_inputs(params, file.texts(), Path())))
    data_problems = _data_problems(file, result, params, labels_known=bool(problems))
    problems += _problems(lambda: check_teacher_labels(result.statistics.labels, params.data.columns.teacher))
    _raise([*problems, *data_problems, *vector_problems])
    return [
        _summary(path, result),
        *(f"warning: {warning}" for warning in describe_warnings(result)),
        *(f"note: {note}" for note in notes(result, file.raw.source)),
        *vector_lines,
        *(f"note: {note}" for note in setting_notes(params, len(result.statistics.labels))),
    ]


def setting_notes(params: Params, labels: int) -> Iterator[str]:
    """Yield settings that have no effect because of others."""
    train = params.train
    if train.soft_target_slope is not None and (params.data.columns.rating is None or labels != 2):
        yield "train.soft_target_slope has no effect: it needs data.columns.rating and two labels. null is the same."
    if train.attention == "published" and train.wide:
        yield "train.wide has no effect with train.attention: published. false is the same."
    if params.tokenize.max_length is not None and params.tokenize.max_length > params.tokenize.max_length_limit:
        yield "tokenize.max_length_limit has no effect if tokenize.max_length is set."


def secret_notes(params: Params) -> list[str]:
    """Warn of a password in params.yaml, which is committed to git."""
    if not has_credentials(params.tracking.uri):
        return []
    return ["tracking.uri in params.yaml contains a password: set MLFLOW_TRACKING_URI in the environment instead"]


def missing_file_error(path: Path) -> DataFileError:
    """Return the error for a missing data file, with the way to get it."""
    if Path(f"{path}.dvc").exists():
        return DataFileError(f"{path} is missing, but DVC tracks it. Run `dvc checkout {path}`, or `dvc pull {path}`.")
    return DataFileError(f"{path} is missing. Put your file there, or set data.path in params.yaml.")


@contextlib.contextmanager
def _settings_to_set(params: Params) -> Iterator[None]:
    """Add the settings to change to an error raised while reading the data file, if fitting settings are known.

    Raises:
        DataContractError: if the settings do not fit the file.
    """
    path = Path(params.data.path)
    try:
        yield
    except DataError as error:
        settings = list(settings_to_read(path, params.data, params.validate_))
        if not settings:
            raise
        lines = "\n".join(f"  {setting}  # {setting.reason}" for setting in settings)
        raise DataContractError(
            f"{str(error).partition('. ')[0]}. Set in params.yaml, or let `atnet init {path}` do it:\n{lines}"
        ) from error


def _runner(params: Params) -> CheckRunner:
    """Return what evaluates the checks: Great Expectations only if there are expectations of the user's own."""
    own = load_own_expectations(Path(params.validate_.expectations), Path(params.data.path), params.data)
    if own is None:
        return PlainRunner()
    # Only here: importing it takes seconds.
    from atnet.data.expectations import ExpectationRunner

    return ExpectationRunner(own)


def _matching_label_map(params: Params, file: DataFile) -> tuple[Params, list[AtnetError]]:
    """Return the settings without keys of the label map that no row has, and the error that names them.

    With the wrong keys, the other checks would not run.
    """
    config = fold_label_settings(params.validate_)
    if not config.label_map or file.data.columns.label is None:
        return params, []
    labels = label_counts(file, config)
    problems = _problems(lambda: check_label_map(labels, config.label_map))
    unmatched = unmatched_keys(labels, config.label_map)
    matching = {key: label for key, label in config.label_map.items() if key not in unmatched}
    config = config.model_copy(update={"label_map": matching})
    return params.model_copy(update={"validate_": config}), problems


def _data_problems(
    file: DataFile, result: ValidationResult, params: Params, *, labels_known: bool
) -> Iterator[AtnetError]:
    """Yield what `validate` and `split` would reject; after a fault of the labels, not its consequences."""
    config = fold_label_settings(params.validate_)
    expected = expected_labels(config, list(result.labels.rows))
    problems = [] if labels_known else _problems(lambda: check_labels(file.path, result.labels, expected))
    yield from problems
    reported = LABEL_CHECKS if problems or labels_known else frozenset()
    if not reported.issuperset(failure.check.name for failure in result.failed):
        yield DataContractError(
            f"{file.path}: {describe_failures(result)}. "
            "Fix the data, or change the limits under validate in params.yaml."
        )
    if problems or result.failed:
        yield from (DataContractError(f"note: {note}") for note in notes(result, file.raw.source))


def _problems(*checks: Callable[[], None]) -> list[AtnetError]:
    """Run every check and return the errors."""
    problems: list[AtnetError] = []
    for run in checks:
        try:
            run()
        except (ConfigurationError, DataError) as error:
            problems.append(error)
    return problems


def _raise(problems: Sequence[AtnetError]) -> None:
    """Raise all problems as one error, of the type of the first."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kind = type(problems[0])
        raise (DataContractError if issubclass(kind, DataContractError) else kind)("\n".join(map(str, problems)))


def _summary(path: Path, result: ValidationResult) -> str:
    statistics = result.statistics
    excluded = "".join(f", {rows:,} excluded by {rule}" for rule, rows in result.excluded.items())
    quarantined = f", {statistics.quarantined:,} quarantined ({top_reasons(result)})" if statistics.quarantined else ""
    labels = sorted(statistics.labels)
    names = ", ".join(labels[:MAX_LABELS]) + (", …" if len(labels) > MAX_LABELS else "")
    rows = f"{statistics.read:,} rows{teacher_only(result)}{excluded}{quarantined}"
    return f"{path}: {rows}, {len(labels)} labels ({names})."
