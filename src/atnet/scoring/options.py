"""The options of a scoring run."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from atnet.config import DataConfig, EngineConfig, ScoreConfig, TrackingConfig, ValidateConfig
from atnet.data.data_checks import DataCheck, row_checks
from atnet.files import PARAMS_FILE
from atnet.storage import load_params

TEXT_MEASURES = frozenset({"text", "words", "characters", "readable", "replacement_fraction", "nonprinting_fraction"})
"""Columns of the row checks that depend on the text alone, not on its label or id."""
TABLE_MARK = "::"
"""Separator between a database and a table name: `URL::TABLE` or `env:NAME::TABLE`."""


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """Options of `atnet score`."""

    force: bool = False
    """Score partitions again that have been scored."""
    stale: bool = False
    """Score partitions again that another version of the model has scored."""
    first: date | None = None
    """Oldest day of a range of partitions."""
    last: date | None = None
    """Newest day of that range."""
    explain: int = 0
    """Words with the largest contributions to write for each row."""
    with_text: bool = False
    """Write the texts to the output."""
    keep_rejected: bool = False
    """Also write rejected rows to the output, without a label."""
    number_duplicates: bool = False
    """Append #2, #3, ... to repeated ids; otherwise they are an error."""
    number_rows: bool = False
    """Use row numbers as ids, not a column."""
    text_column: str | None = None
    """None: data.columns.text."""
    id_column: str | None = None
    """None: data.columns.id."""
    partition_column: str | None = None
    """Column that divides a SQL table into partitions; None: the table is one partition."""
    format: str = "parquet"
    """Format of the files written for a folder or a SQL table."""
    alias: str = "champion"
    """Alias of the version that scores."""

    @property
    def has_range(self) -> bool:
        """Whether a range of days was given."""
        return self.first is not None or self.last is not None


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """The complete configuration of a scoring run."""

    root: Path
    """The project folder."""
    source: str
    target: str
    data: DataConfig
    """How the input is read; see `text_columns`."""
    checks: tuple[DataCheck, ...]
    """What a text must satisfy to be scored."""
    score: ScoreConfig
    engine: EngineConfig
    tracking: TrackingConfig
    options: ScoringOptions

    def settings(self) -> dict[str, Any]:
        """Return the settings that the output depends on, besides input and model, ready for JSON."""
        options = self.options
        return {
            "text_column": self.data.columns.text,
            "id_column": self.data.columns.id,
            "explain": options.explain,
            "with_text": options.with_text,
            "keep_rejected": options.keep_rejected,
            "number_duplicates": options.number_duplicates,
            "checks": {check.name: check.limit for check in self.checks},
        }


def text_columns(data: DataConfig, options: ScoringOptions) -> DataConfig:
    """Return the section `data` reduced to the columns that scoring reads: the text and the id."""
    id_column = None if options.number_rows else options.id_column or data.columns.id
    columns = data.columns.model_copy(
        update={
            "text": options.text_column or data.columns.text,
            "id": id_column,
            **dict.fromkeys(("label", "split", "rating", "weight", "teacher")),
            "slices": [],
        }
    )
    return data.model_copy(update={"columns": columns})


def text_checks(config: ValidateConfig) -> tuple[DataCheck, ...]:
    """Return the row checks of the stage `validate` that reject a row because of its text."""
    return tuple(
        check for check in row_checks(config) if check.severity == "critical" and check.column in TEXT_MEASURES
    )


def is_table(address: str) -> bool:
    """Return whether an address names a SQL table."""
    return TABLE_MARK in address


def scoring_job(source: str, target: str, options: ScoringOptions, root: Path) -> ScoringJob:
    """Read params.yaml and return the job.

    Raises:
        ConfigurationError: if params.yaml is missing or cannot be used.
    """
    params = load_params(root / PARAMS_FILE)
    return ScoringJob(
        root=root,
        source=source,
        target=target,
        data=text_columns(params.data, options),
        checks=text_checks(params.validate_),
        score=params.score,
        engine=params.engine,
        tracking=params.tracking,
        options=options,
    )
