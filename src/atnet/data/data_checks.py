"""Row checks and table checks as `params.yaml` configures them, as plain declarations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atnet.config import Severity, ValidateConfig
from atnet.data.own_expectations import OwnExpectation, arguments_text

QUARANTINED_FRACTION = "quarantined_fraction"


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What the values of one column must satisfy; without bounds and allowed values: they are not null."""

    name: str
    severity: Severity
    column: str
    description: str
    """One sentence, shown in the report and the Data Docs."""
    min_value: float | None = None
    """Smallest allowed value, included."""
    max_value: float | None = None
    """Largest allowed value, included."""
    allowed: tuple[str, ...] | None = None
    """The only allowed values."""
    skip_where: str | None = None
    """Boolean column: rows in which it is true are not checked."""
    arguments: str | None = None
    """Arguments of a user's own expectation; it has no bounds and allowed values here."""

    @property
    def limit(self) -> dict[str, Any]:
        """Return the bounds by name, ready for JSON."""
        if self.arguments is not None:
            return {"arguments": self.arguments}
        bounds = {"min_value": self.min_value, "max_value": self.max_value, "allowed": self.allowed}
        return {name: bound for name, bound in bounds.items() if bound is not None} or {"null": False}


def row_checks(config: ValidateConfig) -> list[DataCheck]:
    """Return the checks of single rows, over the columns of `row_statistics.row_frame`."""
    return _enabled(
        [
            *_text_checks(config),
            DataCheck("label_not_null", "critical", "label", "The row has a label.", skip_where="excluded"),
            *_label_in_set(config),
            DataCheck("unique_id", config.unique_id, "earlier_ids", "Earlier rows with the same id.", max_value=0),
        ]
    )


def table_checks(config: ValidateConfig) -> list[DataCheck]:
    """Return the checks of the whole table; each reads its own number from `TableStatistics.values`."""
    duplicates, conflicts = config.duplicates, config.conflicting_labels
    balance, rows = config.class_balance, config.rows_per_label
    return _enabled(
        [
            _number_check(
                QUARANTINED_FRACTION,
                "critical",
                "Share of rows that were quarantined.",
                max_value=config.max_quarantined_fraction,
            ),
            _number_check("label_count", "critical", "Labels among the valid rows; one is not enough.", min_value=2),
            _number_check(
                "mean_rows_per_label", "critical", "Valid rows per label: no fewer rows than labels.", min_value=1
            ),
            _number_check(
                "duplicates",
                duplicates.severity,
                "Share of rows whose text occurred in an earlier row.",
                max_value=duplicates.max_fraction,
            ),
            _number_check(
                "conflicting_labels",
                conflicts.severity,
                "Share of rows whose text also has another label.",
                max_value=conflicts.max_fraction,
            ),
            _number_check(
                "class_balance", balance.severity, "Share of the rarest label.", min_value=balance.min_fraction
            ),
            _number_check("rows_per_label", rows.severity, "Rows of the rarest label.", min_value=rows.min_rows),
        ]
    )


def own_check(expectation: OwnExpectation) -> DataCheck:
    """Return the declaration of a user's own expectation; severity info is reported like a warning."""
    return DataCheck(
        name=expectation.name,
        severity="critical" if expectation.severity == "critical" else "warning",
        column=", ".join(expectation.columns),
        description=expectation.notes or "Your own expectation.",
        arguments=arguments_text(expectation),
    )


def _text_checks(config: ValidateConfig) -> list[DataCheck]:
    length, words = config.text_characters, config.text_words
    replacements, controls = config.replacement_characters, config.nonprinting_characters
    return [
        # A row without a text or a label cannot be used, so these two have no severity to choose.
        DataCheck("text_not_null", "critical", "text", "The row has a text."),
        DataCheck(
            "text_not_blank", config.text_not_blank, "readable", "The text has a visible character.", min_value=1
        ),
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
            "Length of the text in words, separated by white space.",
            words.min_value,
            words.max_value,
        ),
        DataCheck(
            "replacement_characters",
            replacements.severity,
            "replacement_fraction",
            "Share of U+FFFD in the text, the sign of a wrong encoding.",
            max_value=replacements.max_fraction,
        ),
        DataCheck(
            "nonprinting_characters",
            controls.severity,
            "nonprinting_fraction",
            "Share of control characters in the text.",
            max_value=controls.max_fraction,
        ),
    ]


def _label_in_set(config: ValidateConfig) -> list[DataCheck]:
    if config.labels is None:
        return []
    return [
        DataCheck(
            "label_in_set",
            config.label_in_set,
            "label",
            "The label is an allowed one.",
            allowed=tuple(sorted(set(config.labels))),
            skip_where="excluded",
        )
    ]


def _number_check(
    name: str, severity: Severity, description: str, *, min_value: float | None = None, max_value: float | None = None
) -> DataCheck:
    return DataCheck(name, severity, name, description, min_value, max_value)


def _enabled(checks: Sequence[DataCheck]) -> list[DataCheck]:
    return [check for check in checks if check.severity != "off"]
