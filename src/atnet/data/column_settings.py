"""Propose settings of `data.columns` for a file that lacks the configured columns."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from atnet.config import ColumnsConfig, ValidateConfig
from atnet.schema import ID, LABEL, RATING, SPLIT, TEXT, WEIGHT

MAX_LISTED = 20
"""Columns listed in a message."""
TEACHER = "teacher"
CLOSE, VERY_CLOSE = 0.5, 0.8
"""How similar a name must be to be proposed for a required or an optional column."""
USUAL_NAMES = {
    TEXT: ("text", "texts", "review", "content", "comment", "sentence", "message", "body", "tweet", "texto", "frase"),
    LABEL: (
        "label",
        "labels",
        "class",
        "category",
        "target",
        "sentiment",
        "intent",
        "topic",
        "classe",
        "categoria",
        "rotulo",
    ),
}
"""Common names of such a column."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A line to write into params.yaml."""

    key: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


def column_settings(columns: ColumnsConfig) -> Iterator[tuple[str, str]]:
    """Yield each parameter that names a column of the file, with the column's name."""
    for key in (TEXT, LABEL, ID, SPLIT, RATING, WEIGHT):
        name = getattr(columns, key)
        if name is not None:
            yield f"data.columns.{key}", name
    for name in (columns.teacher or {}).values():
        yield f"data.columns.{TEACHER}", name
    for name in columns.slices:
        yield "data.columns.slices", name


def propose_settings(present: Sequence[str], columns: ColumnsConfig) -> list[Setting]:
    """Return what to set so that every configured column exists.

    An optional column becomes null unless a column of the file has almost its name.

    Args:
        present: columns of the file.
        columns: the settings.
    """
    settings = []
    for key in (TEXT, LABEL, ID, SPLIT, RATING, WEIGHT):
        name = getattr(columns, key)
        if name is not None and name not in present:
            value = _required(key, name, present) if key in USUAL_NAMES else _optional(name, present)
            settings.append(Setting(f"data.columns.{key}", value, f"there is no column {name!r}"))
    settings += _teacher_setting(present, columns.teacher or {})
    missing = [name for name in columns.slices if name not in present]
    if missing:
        slices = [name for name in columns.slices if name in present]
        reason = f"there is no column {', '.join(map(repr, missing))}"
        settings.append(Setting("data.columns.slices", f"[{', '.join(slices)}]", reason))
    return settings


def propose_label_settings(
    present: Sequence[str], columns: ColumnsConfig, validate: ValidateConfig
) -> Iterator[Setting]:
    """Yield what else to set if the labels should come from a rating column that the file lacks."""
    if validate.label_from_rating is None or columns.rating is None or columns.rating in present:
        return
    yield Setting("validate.label_from_rating", "null", "labels come from the label column instead")
    if columns.label is None:
        yield Setting("data.columns.label", _required(LABEL, LABEL, present), "the column of the labels")


def _teacher_setting(present: Sequence[str], teacher: Mapping[str, str]) -> Iterator[Setting]:
    """Yield the setting of the teacher's columns if some are missing: null unless each has almost the name of one."""
    missing = [name for name in teacher.values() if name not in present]
    if missing:
        names = {label: name if name in present else _optional(name, present) for label, name in teacher.items()}
        is_known = "null" not in names.values() and len(set(names.values())) == len(names)
        value = "{" + ", ".join(f"{label}: {name}" for label, name in names.items()) + "}" if is_known else "null"
        yield Setting(f"data.columns.{TEACHER}", value, f"there is no column {', '.join(map(repr, missing))}")


def _required(key: str, name: str, present: Sequence[str]) -> str:
    lower = {column.casefold(): column for column in present}
    usual = [lower[candidate] for candidate in USUAL_NAMES[key] if candidate in lower]
    closest = difflib.get_close_matches(name, present, n=1, cutoff=CLOSE)
    if closest or len(usual) == 1:
        return (closest or usual)[0]
    return f"<one of {listed_columns(present)}>"


def _optional(name: str, present: Sequence[str]) -> str:
    return next(iter(difflib.get_close_matches(name, present, n=1, cutoff=VERY_CLOSE)), "null")


def listed_columns(columns: Sequence[str]) -> str:
    """Return the columns of a file for a message."""
    return ", ".join(map(repr, columns[:MAX_LISTED])) + (", …" if len(columns) > MAX_LISTED else "")
