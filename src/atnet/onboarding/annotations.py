"""An annotated text, as every label export is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class UnsupportedAnnotation(Exception):
    """An annotation is not the label of a whole text; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A record of an export."""

    row_id: str
    fields: Mapping[str, str]
    """Name -> text or other value that was shown."""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Question -> every answer that was given; empty if none was."""
    label_is_field: bool = False
    """Whether the label is one of the fields."""


def one_label(answers: Sequence[str]) -> str | None:
    """Return the answer that all annotators gave."""
    return answers[0] if answers else None


def plain_fields(values: Mapping[str, object]) -> dict[str, str]:
    """Return the values that are texts or numbers."""
    return {
        name: str(value)
        for name, value in values.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
