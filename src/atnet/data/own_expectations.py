"""Read the user's own expectations: `validate.expectations` names a file of native Great Expectations expectations."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import yaml

from atnet.config import DataConfig
from atnet.config.yaml_text import parse_yaml, yaml_problem
from atnet.data.native_columns import read_native_columns
from atnet.errors import ConfigurationError
from atnet.files import EXPECTATIONS

OwnSeverity = Literal["critical", "warning", "info"]
IGNORED_KEYS = frozenset({"id", "rendered_content", "expectation_context", "success_on_last_run"})
"""What Great Expectations writes into a saved suite and does not need to check it."""
KEYS = frozenset({"type", "expectation_type", "kwargs", "severity", "meta", "notes", "description"})
TEXT_TYPES = ("regex", "value_lengths", "like_pattern", "strftime", "dateutil", "json")
"""Parts of the names of expectations that only strings can meet."""
ALL_COLUMNS = "expect_table_column"
"""Prefixes of the types that look at all columns of the file."""


@dataclass(frozen=True, slots=True)
class OwnExpectation:
    """An expectation as the user wrote it."""

    name: str
    """Type and columns; unique."""
    type: str
    kwargs: Mapping[str, Any]
    severity: OwnSeverity
    meta: Mapping[str, Any]
    notes: str | None

    @property
    def columns(self) -> list[str]:
        """Names of the columns it is about; empty if it is about the table."""
        named = [self.kwargs.get(key) for key in ("column", "column_A", "column_B")]
        listed = [] if self.type.startswith(ALL_COLUMNS) else self.kwargs.get("column_list") or []
        return [str(name) for name in (*named, *listed) if name is not None]

    @property
    def needs_text(self) -> bool:
        """Whether its columns must be compared as they are written, not as numbers."""
        if any(part in self.type for part in TEXT_TYPES):
            return True
        values = self.kwargs.get("value_set") or []
        return bool(values) and all(isinstance(value, str) for value in values)


@dataclass(frozen=True, slots=True)
class OwnExpectations:
    """Expectations and the rows they are checked on."""

    source: Path
    """The file of the expectations."""
    expectations: Sequence[OwnExpectation]
    frame: pd.DataFrame
    """Columns of the data file under their own names, indexed by row position from 1."""


def load_own_expectations(path: Path, data_path: Path, data: DataConfig) -> OwnExpectations | None:
    """Read the expectations and the columns they are about; None if there are no expectations.

    Args:
        path: the file of the expectations.
        data_path: the data file.
        data: how it is read.

    Raises:
        ConfigurationError: if the file of the expectations is missing or not a list of expectations.
        DataContractError: if the data file lacks a column.
    """
    expectations = parse_expectations(path)
    if not expectations:
        return None
    names = list(dict.fromkeys(name for expectation in expectations for name in expectation.columns))
    as_text = {name for expectation in expectations if expectation.needs_text for name in expectation.columns}
    all_columns = any(expectation.type.startswith(ALL_COLUMNS) for expectation in expectations)
    frame = read_native_columns(data_path, data, names, as_text=as_text, all_columns=all_columns)
    return OwnExpectations(path, expectations, frame.set_axis(pd.RangeIndex(1, len(frame) + 1)))


def parse_expectations(path: Path) -> list[OwnExpectation]:
    """Parse a file of expectations: a list, or a suite with the key `expectations`; YAML or JSON.

    Raises:
        ConfigurationError: naming the expectation and what is wrong with it.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.name == EXPECTATIONS.name:
            return []
        raise missing_expectations_error(path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = yaml_problem(error) if isinstance(error, yaml.YAMLError) else str(error)
        raise ConfigurationError(f"{path} is neither YAML nor JSON: {problem}. Fix it there.") from error
    entries = content.get("expectations") if isinstance(content, Mapping) else content
    if content is None or entries is None:
        entries = []
    if not isinstance(entries, list):
        raise ConfigurationError(f"{path} has no list of expectations. Write them under the key `expectations`.")
    return list(_with_names([_entry(path, number, entry) for number, entry in enumerate(entries, start=1)]))


def missing_expectations_error(path: Path) -> ConfigurationError:
    """Return the error for a file that DVC needs even if there are no expectations."""
    return ConfigurationError(
        f"validate.expectations: {path} is missing. Write `expectations: []` into it if you have none."
    )


def _entry(path: Path, number: int, entry: Any) -> Mapping[str, Any]:
    where = f"{path}: expectation {number}"
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} is not a mapping with the keys type and kwargs.")
    unknown = sorted(map(str, entry.keys() - KEYS - IGNORED_KEYS))
    if unknown:
        raise ConfigurationError(f"{where} has the unknown key {unknown[0]}. Its keys are type, kwargs and severity.")
    kind = entry.get("type", entry.get("expectation_type"))
    if not isinstance(kind, str) or not isinstance(entry.get("kwargs", {}), Mapping):
        raise ConfigurationError(f"{where} needs a type (text) and kwargs (a mapping).")
    severity = entry.get("severity") or "critical"
    if severity not in get_args(OwnSeverity):
        raise ConfigurationError(f"{where}: severity is {severity!r}; it is critical, warning or info.")
    kwargs = {key: value for key, value in entry.get("kwargs", {}).items() if key not in ("batch_id", "result_format")}
    return {**entry, "type": kind, "severity": severity, "kwargs": kwargs}


def _with_names(entries: Sequence[Mapping[str, Any]]) -> Iterator[OwnExpectation]:
    """Yield the expectations with a unique name for each."""
    used: Counter[str] = Counter()
    for entry in entries:
        notes = entry.get("notes") or entry.get("description")
        expectation = OwnExpectation(
            name=entry["type"],
            type=entry["type"],
            kwargs=entry["kwargs"],
            severity=entry["severity"],
            meta=entry.get("meta") or {},
            notes=" ".join(notes) if isinstance(notes, list) else notes,
        )
        name = f"{expectation.type}({', '.join(expectation.columns)})" if expectation.columns else expectation.type
        used[name] += 1
        yield OwnExpectation(
            name=name if used[name] == 1 else f"{name} #{used[name]}",
            type=expectation.type,
            kwargs=expectation.kwargs,
            severity=expectation.severity,
            meta=expectation.meta,
            notes=expectation.notes,
        )


def arguments_text(expectation: OwnExpectation) -> str:
    """Return the arguments in one line, without the columns, which are in the name."""
    columns = ("column", "column_A", "column_B")
    rest = {key: value for key, value in expectation.kwargs.items() if key not in columns}
    return ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False, default=str)}" for key, value in rest.items())
