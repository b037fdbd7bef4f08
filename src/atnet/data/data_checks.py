"""The checks that params.yaml asks for, as plain declarations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atnet.config import Severity, ValidateConfig

BAD_FRACTION = "bad_fraction"


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What one column must keep; with no bound and no set: that it is not null."""

    name: str
    severity: Severity
    column: str
    meaning: str
    """One sentence, shown in the Data Docs."""
    min_value: float | None = None
    """Smallest allowed value, itself included."""
    max_value: float | None = None
    """Largest allowed value, itself included."""
    allowed: tuple[str, ...] | None = None
    """The only allowed values."""
    unless: str | None = None
    """Column of truth values: rows where it is true are not judged."""

    @property
    def limit(self) -> dict[str, Any]:
        """Give the bounds by name, ready for JSON."""
        bounds = {"min_value": self.min_value, "max_value": self.max_value, "allowed": self.allowed}
        return {name: bound for name, bound in bounds.items() if bound is not None} or {"null": False}


def row_checks(config: ValidateConfig) -> list[DataCheck]:
    """Declare what every single row must keep, over the columns of `measures.row_frame`."""
    length, words = config.text_characters, config.text_words
    replaced, controls = config.replacement_characters, config.nonprinting_characters
    checks = [
        # Without a text or a label there is nothing to learn from: no severity to choose.
        DataCheck("text_not_null", "critical", "text", "The row has a text."),
        DataCheck("text_not_blank", config.text_not_blank, "words", "The text is more than white space.", min_value=1),
        DataCheck(
            "text_characters",
            length.severity,
            "characters",
            "Length of the text in characters.",
            length.min_value,
            length.max_value,
        ),
        DataCheck(
            "text_words",
            words.severity,
            "words",
            "Length of the text in words, parted by white space.",
            words.min_value,
            words.max_value,
        ),
        DataCheck(
            "replacement_characters",
            replaced.severity,
            "replacement_fraction",
            "Share of U+FFFD in the text, the mark of a wrong encoding.",
            max_value=replaced.max_fraction,
        ),
        DataCheck(
            "nonprinting_characters",
            controls.severity,
            "nonprinting_fraction",
            "Share of control characters in the text.",
            max_value=controls.max_fraction,
        ),
        DataCheck("label_not_null", "critical", "label", "The row has a label.", unless="left_out"),
        *_label_in_set(config),
        DataCheck("unique_id", config.unique_id, "earlier_ids", "Earlier rows with the same id.", max_value=0),
    ]
    return _wanted(checks)


def table_checks(config: ValidateConfig) -> list[DataCheck]:
    """Declare what the table must keep as a whole, over `TableCounts.summary`; each has its own column there."""
    duplicates, conflicts = config.duplicates, config.conflicting_labels
    balance, rows = config.class_balance, config.rows_per_label
    return _wanted(
        [
            _number(BAD_FRACTION, "critical", "Share of rows quarantined.", max_value=config.max_quarantined_fraction),
            _number("labels_found", "critical", "Labels among the kept rows; one alone teaches nothing.", min_value=2),
            _number("mean_rows_per_label", "critical", "Kept rows per label: no fewer rows than classes.", min_value=1),
            _number(
                "duplicates",
                duplicates.severity,
                "Share of rows whose text stood before.",
                max_value=duplicates.max_fraction,
            ),
            _number(
                "conflicting_labels",
                conflicts.severity,
                "Share of rows whose text also has another label.",
                max_value=conflicts.max_fraction,
            ),
            _number("class_balance", balance.severity, "Share of the rarest label.", min_value=balance.min_fraction),
            _number("rows_per_label", rows.severity, "Rows of the rarest label.", min_value=rows.min_rows),
        ]
    )


def _label_in_set(config: ValidateConfig) -> list[DataCheck]:
    if config.labels is None:
        return []
    allowed = tuple(sorted(set(config.labels)))
    told = "The label is an allowed one."
    return [DataCheck("label_in_set", config.label_in_set, "label", told, allowed=allowed, unless="left_out")]


def _number(
    name: str, severity: Severity, meaning: str, *, min_value: float | None = None, max_value: float | None = None
) -> DataCheck:
    return DataCheck(name, severity, name, meaning, min_value, max_value)


def _wanted(checks: Sequence[DataCheck]) -> list[DataCheck]:
    return [check for check in checks if check.severity != "off"]
