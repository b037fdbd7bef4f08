"""Propose the settings for a file: values of params.yaml, with the reasons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from atnet.config import ColumnsConfig, DataConfig
from atnet.errors import DataContractError
from atnet.onboarding.choices import OpenQuestion
from atnet.onboarding.column_profiles import profile_columns
from atnet.onboarding.column_roles import ColumnOptions, ColumnRoles, propose_roles
from atnet.onboarding.evidence import Evidence, collect_evidence
from atnet.onboarding.label_maps import LabelProposal, propose_label_map
from atnet.onboarding.options import LabelMap, Stars
from atnet.onboarding.size_settings import settings_for_size

SUITES = {"English": "behavior/english.yaml", "Portuguese": "behavior/portuguese.yaml"}
SUITE_LABELS = frozenset({"negative", "positive"})
RATING_RULE = {"neutral_band": 0.0, "negative": "negative", "positive": "positive"}
MAX_LISTED_LABELS = 6


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """The user's options for the labels."""

    label_map: LabelMap | None = None
    """None: propose one where it is obvious."""
    stars: Stars = "two"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Proposed settings for a file and the evidence for them."""

    settings: dict[str, Any]
    """Dotted key of params.yaml -> value."""
    columns: ColumnsConfig
    reasons: list[tuple[str, str]]
    """What was decided, and why."""
    evidence: Evidence
    label_map: LabelMap = field(default_factory=dict)


def propose_settings(table: pd.DataFrame, data: DataConfig, columns: ColumnOptions, labels: LabelOptions) -> Proposal:
    """Propose every setting that depends on the file.

    Args:
        table: all columns of the file, as strings.
        data: with the path and the way to read the file.
        columns: columns that the user names.
        labels: what the user says about the labels.

    Raises:
        OpenQuestion: if the file leaves a choice open.
        ConfigurationError: if an option names a column that the file does not have.
        DataContractError: if there are fewer than two labels.
    """
    roles = propose_roles(table, profile_columns(table), columns)
    if roles.choices:
        raise OpenQuestion(roles.choices)
    evidence = collect_evidence(table, roles.columns)
    mapped = _label_map(evidence, roles.columns, labels)
    names = _required_labels(evidence, mapped.label_map, roles.columns)
    settings = {
        **_reading_settings(data),
        **{f"data.columns.{role}": value for role, value in roles.columns.model_dump().items()},
        "validate.label_from_rating": None if roles.columns.label else RATING_RULE,
        "validate.label_map": mapped.label_map,
        "validate.labels": None,
        "train.soft_target_slope": 1.5 if roles.columns.rating else None,
        "release.behavior.suites": _suites(evidence.language, names),
        "release.model_card.purpose": f"Assign a text one of {len(names)} labels: {_listed(names)}.",
        "release.model_card.data": f"{data.path}. Who labeled the texts, and under which license, is not recorded.",
        "release.model_card.limits": [],
        **settings_for_size(_used_rows(evidence, mapped.label_map)),
    }
    return Proposal(settings, roles.columns, list(_reasons(roles, mapped)), evidence, mapped.label_map)


def final_labels(counts: Mapping[str, int], label_map: Mapping[str, str | None]) -> list[str]:
    """Return the labels after mapping, sorted."""
    labels = {label_map.get(value, value) for value in counts if value.strip()}
    return sorted(label.strip() for label in labels if label is not None)


def _required_labels(evidence: Evidence, label_map: LabelMap, columns: ColumnsConfig) -> list[str]:
    if columns.label is None:
        return ["negative", "positive"]
    names = final_labels(evidence.label_counts, label_map)
    if len(names) < 2:
        labels = f"only the label {names[0]!r}" if names else "no labels"
        raise DataContractError(
            f"column {columns.label!r} has {labels}; a classifier needs two. "
            "Add rows with another label, or choose another column (--label) or label map (--label-map)."
        )
    rows = _used_rows(evidence, label_map)
    if len(names) > rows // 2:
        raise DataContractError(
            f"column {columns.label!r} has {len(names):,} different values in {rows:,} rows; a label must occur in "
            "several rows. Choose another column (--label)."
        )
    return names


def _reading_settings(data: DataConfig) -> dict[str, Any]:
    return {f"data.{key}": getattr(data, key) for key in ("path", "format", "encoding", "separator", "quoting")}


def _label_map(evidence: Evidence, columns: ColumnsConfig, labels: LabelOptions) -> LabelProposal:
    if labels.label_map is not None:
        return LabelProposal(labels.label_map, "as you specified")
    counts = {value: rows for value, rows in evidence.label_counts.items() if value.strip()}
    return propose_label_map(counts, column=columns.label or "", stars=labels.stars)


def _suites(language: str | None, labels: list[str]) -> list[str]:
    """Return the behavior suites for these labels in this language."""
    suite = SUITES.get(language or "")
    return [suite] if suite and set(labels) >= SUITE_LABELS else []


def _used_rows(evidence: Evidence, label_map: Mapping[str, str | None]) -> int:
    left_out = sum(rows for value, rows in evidence.label_counts.items() if label_map.get(value, value) is None)
    return evidence.rows - left_out


def _reasons(roles: ColumnRoles, mapped: LabelProposal) -> Iterator[tuple[str, str]]:
    for role, name in roles.columns.model_dump(exclude={"slices", "weight"}).items():
        if name is not None:
            yield role, f"column {name!r}: {roles.reasons.get(role, 'proposed')}"
    if roles.columns.slices:
        yield "slices", f"scores are broken down by {', '.join(map(repr, roles.columns.slices))}"
    if mapped.reason:
        yield "label map", mapped.reason


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_LISTED_LABELS]) + (", …" if len(names) > MAX_LISTED_LABELS else "")
