"""A window's derived columns and effect sizes as a Great Expectations suite, like that of the pipeline's data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from atnet.config import MonitorConfig, ValidateConfig
from atnet.data.checks import Check
from atnet.data.expectations import Judge, Verdict
from atnet.data.measures import in_batches, measure_rows
from atnet.monitoring.comparison import Comparison
from atnet.monitoring.drift_statistics import TITLES
from atnet.monitoring.preparation import PreparedWindow

ROWS, REPEATED = "rows_compared", "repeated_texts"


@dataclass(frozen=True, slots=True)
class CheckedWindow:
    """What the suite says about a window."""

    results: Sequence[Verdict]
    pages: Mapping[str, bytes]
    """Data Docs: path within the site -> contents."""


def check_window(
    prepared: PreparedWindow, comparison: Comparison | None, validate: ValidateConfig, config: MonitorConfig
) -> CheckedWindow:
    """Judge the window's rows by the limits of the pipeline's data, and its effect sizes by those of `monitor`.

    Every breach is a warning: a window is not refused, it is described.
    """
    judge = Judge()
    frame = row_frame(prepared)
    results = (
        judge.rows(frame, [check for check in row_checks(validate) if check.column in frame]) if len(frame) else []
    )
    numbers = window_numbers(prepared, comparison)
    results += judge.table(numbers, [check for check in table_checks(config) if check.column in numbers])
    return CheckedWindow(results, judge.pages())


def row_frame(prepared: PreparedWindow) -> pd.DataFrame:
    """Put together the derived columns, one row per row of the window."""
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


def row_checks(config: ValidateConfig) -> list[Check]:
    """Declare what each row should keep."""
    characters, words = config.text_characters, config.text_words
    return [
        Check("score", "warning", "score", "Probability of the predicted label.", minimum=0, maximum=1),
        Check("tokens", "warning", "tokens", "Tokens the model reads.", minimum=1),
        Check("unknown_word_share", "warning", "unknown_word_share", "Share of unknown tokens.", maximum=0.5),
        Check(
            "text_characters",
            "warning",
            "characters",
            "Length of the text in characters.",
            characters.minimum,
            characters.maximum,
        ),
        Check("text_words", "warning", "words", "Length of the text in words.", words.minimum, words.maximum),
        Check(
            "replacement_characters",
            "warning",
            "replacement_fraction",
            "Share of U+FFFD in the text, the mark of a wrong encoding.",
            maximum=config.replacement_characters.maximum_fraction,
        ),
        Check(
            "nonprinting_characters",
            "warning",
            "nonprinting_fraction",
            "Share of control characters in the text.",
            maximum=config.nonprinting_characters.maximum_fraction,
        ),
    ]


def table_checks(config: MonitorConfig) -> list[Check]:
    """Declare what the window should keep as a whole."""
    limits = config.effects.model_dump()
    effects = [
        Check(name, "warning", name, f"Effect size: {TITLES[name]}.", maximum=limit) for name, limit in limits.items()
    ]
    return [
        Check(ROWS, "warning", ROWS, "Distinct texts that were compared.", minimum=config.minimum_rows),
        Check(REPEATED, "warning", REPEATED, "Share of rows whose text occurred before in the window.", maximum=0.5),
        *effects,
    ]


def window_numbers(prepared: PreparedWindow, comparison: Comparison | None) -> dict[str, float]:
    """Return the number that each check of the whole window looks at."""
    numbers = {
        ROWS: float(comparison.rows if comparison else len(prepared.distinct)),
        REPEATED: prepared.counts.repeated / max(prepared.counts.rows, 1),
    }
    return numbers | {one.statistic: one.effect for one in (comparison.findings if comparison else ())}
