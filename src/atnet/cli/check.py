"""`atnet check`: find what would make a stage fail, before DVC deletes the stage's outputs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
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
from atnet.data.label_mapping import expected_labels, fold_label_settings, fold_labels, map_labels
from atnet.data.own_expectations import load_own_expectations, missing_expectations_error
from atnet.data.quality_report import describe_failures, describe_warnings, notes, top_reasons
from atnet.data.reader import LabeledTexts, read_labeled_texts
from atnet.data.reading_settings import settings_to_read
from atnet.data.validation import ValidationResult, validate_table
from atnet.diagnosis.foreign_files import require_no_foreign_files
from atnet.diagnosis.pipeline import require_runnable
from atnet.diagnosis.vector_inputs import check_place, check_vector_inputs
from atnet.environment import environment_notes
from atnet.errors import AtnetError, ConfigurationError, DataContractError, DataError, DataFileError
from atnet.files import DEFAULT_DATA
from atnet.redaction import has_credentials
from atnet.schema import LABEL
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
    texts = _read(params)
    params, problems = _matching_label_map(params, texts.table)
    problems += _problems(lambda: check_label_source(params.data.columns, params.validate_))
    result = validate_table(texts.table, params.validate_, _runner(params))
    vector_lines: list[str] = []
    vector_problems = _problems(lambda: vector_lines.extend(check_vector_inputs(params, texts.table, Path())))
    data_problems = _data_problems(path, texts, result, params, labels_known=bool(problems))
    _raise([*problems, *data_problems, *vector_problems])
    return [
        _summary(path, result),
        *(f"warning: {warning}" for warning in describe_warnings(result)),
        *(f"note: {note}" for note in notes(result, texts.source)),
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


def _read(params: Params) -> LabeledTexts:
    """Read the data file.

    Raises:
        DataContractError: if the settings do not fit the file, with all that must be set.
    """
    path = Path(params.data.path)
    try:
        return read_labeled_texts(path, params.data)
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


def _matching_label_map(params: Params, table: pd.DataFrame) -> tuple[Params, list[AtnetError]]:
    """Return the settings without keys of the label map that no row has, and the error that names them.

    With the wrong keys, the other checks would not run.
    """
    config = fold_label_settings(params.validate_)
    if not config.label_map or LABEL not in table:
        return params, []
    counts = fold_labels(table[LABEL])[0].value_counts()
    labels = {str(label): int(rows) for label, rows in counts.items()}
    problems = _problems(lambda: check_label_map(labels, config.label_map))
    unmatched = unmatched_keys(labels, config.label_map)
    matching = {key: label for key, label in config.label_map.items() if key not in unmatched}
    config = config.model_copy(update={"label_map": matching})
    return params.model_copy(update={"validate_": config}), problems


def _data_problems(
    path: Path, texts: LabeledTexts, result: ValidationResult, params: Params, *, labels_known: bool
) -> Iterator[AtnetError]:
    """Yield what `validate` and `split` would reject; after a fault of the labels, not its consequences."""
    config = fold_label_settings(params.validate_)
    labeled = map_labels(texts.table, config).table
    labeled = labeled[labeled[LABEL].notna()]
    expected = expected_labels(config, list(labeled[LABEL].unique()))
    problems = [] if labels_known else _problems(lambda: check_labels(path, labeled, expected))
    yield from problems
    reported = LABEL_CHECKS if problems or labels_known else frozenset()
    if not reported.issuperset(failure.check.name for failure in result.failed):
        yield DataContractError(
            f"{path}: {describe_failures(result)}. Fix the data, or change the limits under validate in params.yaml."
        )
    if problems or result.failed:
        yield from (DataContractError(f"note: {note}") for note in notes(result, texts.source))


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
    return f"{path}: {statistics.read:,} rows{excluded}{quarantined}, {len(labels)} labels ({names})."
