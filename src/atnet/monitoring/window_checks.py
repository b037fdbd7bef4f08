"""Check a window's derived columns and effect sizes with Great Expectations, as the pipeline checks its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from atnet.config import MonitorConfig, ValidateConfig
from atnet.data.check_results import DataCheckResult
from atnet.data.data_checks import DataCheck
from atnet.data.expectations import ExpectationRunner
from atnet.data.row_statistics import in_batches, measure_rows
from atnet.monitoring.drift_statistics import TITLES
from atnet.monitoring.prepared_window import PreparedWindow
from atnet.monitoring.window_comparison import WindowComparison
from atnet.report.data_docs import render_data_docs

ROWS, REPEATED = "rows_compared", "repeated_texts"
MAX_UNKNOWN, MAX_REPEATED = 0.5, 0.5


@dataclass(frozen=True, slots=True)
class CheckedWindow:
    """The results of both suites."""

    results: Sequence[DataCheckResult]
    pages: Mapping[str, str]
    """Data Docs: path within the site -> contents."""


def check_window(
    prepared: PreparedWindow, comparison: WindowComparison | None, validate: ValidateConfig, config: MonitorConfig
) -> CheckedWindow:
    """Check the window's rows by the limits of `validate`, and its effect sizes by those of `monitor`.

    Every failed check is a warning: nothing is quarantined.
    """
    runner = ExpectationRunner()
    frame, numbers = row_frame(prepared), window_numbers(prepared, comparison)
    results = []
    if len(frame):
        results += runner.check_rows(frame, [check for check in row_checks(validate) if check.column in frame])
    results += runner.check_table(numbers, [check for check in table_checks(config) if check.column in numbers])
    return CheckedWindow(results, render_data_docs(runner.suite_runs))


def row_frame(prepared: PreparedWindow) -> pd.DataFrame:
    """Return the columns that the row checks read, one row for each row of the window."""
    frame = pd.DataFrame(
        {
            "score": prepared.features.probabilities.max(axis=1, initial=0.0),
            "tokens": prepared.features.tokens,
            "unknown_word_share": prepared.features.unknown,
        }
    )
    if not prepared.has_texts:
        return frame
    measured = pd.concat([measure_rows(batch) for batch in in_batches(prepared.table)])
    return pd.concat([frame, measured.reset_index(drop=True)], axis=1)


def row_checks(config: ValidateConfig) -> list[DataCheck]:
    """Return the checks of single rows."""
    length, words = config.text_characters, config.text_words
    replacements, controls = config.replacement_characters, config.nonprinting_characters
    return [
        _check("score", "score", "Probability of the predicted label.", 0, 1),
        _check("tokens", "tokens", "Tokens that the model reads.", 1),
        _check("unknown_word_share", "unknown_word_share", "Share of unknown tokens.", None, MAX_UNKNOWN),
        _check("text_characters", "characters", "Length in characters.", length.min_value, length.max_value),
        _check("text_words", "words", "Length in words.", words.min_value, words.max_value),
        _check(
            "replacement_characters",
            "replacement_fraction",
            "Share of U+FFFD in the text, the sign of a wrong encoding.",
            None,
            replacements.max_fraction,
        ),
        _check(
            "nonprinting_characters",
            "nonprinting_fraction",
            "Share of control characters in the text.",
            None,
            controls.max_fraction,
        ),
    ]


def table_checks(config: MonitorConfig) -> list[DataCheck]:
    """Return the checks of the whole window; each reads its own number."""
    return [
        _check(ROWS, ROWS, "Distinct texts that were compared.", config.min_window_rows),
        _check(REPEATED, REPEATED, "Share of rows whose text occurred earlier in the window.", None, MAX_REPEATED),
        *(
            _check(name, name, f"Effect size: {TITLES[name]}.", None, limit)
            for name, limit in config.min_effects.model_dump().items()
        ),
    ]


def window_numbers(prepared: PreparedWindow, comparison: WindowComparison | None) -> dict[str, float]:
    """Return the number that each check of the whole window reads."""
    numbers = {
        ROWS: float(comparison.rows if comparison else len(prepared.distinct)),
        REPEATED: prepared.counts.repeated / max(prepared.counts.rows, 1),
    }
    return numbers | {result.statistic: result.effect for result in (comparison.results if comparison else ())}


def _check(
    name: str, column: str, description: str, min_value: float | None, max_value: float | None = None
) -> DataCheck:
    return DataCheck(name, "warning", column, description, min_value, max_value)
