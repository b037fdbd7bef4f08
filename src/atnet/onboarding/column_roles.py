"""Propose what each column of a file means: text, label, id, official split, rating, slices."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from atnet.config import ColumnsConfig
from atnet.data.columns import SPLIT_NAMES
from atnet.errors import ConfigurationError, DataContractError
from atnet.onboarding.choices import Choice
from atnet.onboarding.column_profiles import ColumnProfile
from atnet.onboarding.options import NONE
from atnet.onboarding.text_column import propose_text_column, require_texts
from atnet.schema import BUILT_IN_SLICES, CANONICAL

LABEL_NAMES = frozenset(
    {"label", "labels", "rotulo", "rótulo", "etiqueta", "class", "classe", "target"}
    | {"sentiment", "sentimento", "intent", "polarity", "polaridade"}
)
"""Names that decide where several columns could be the label."""
STAR_NAMES = frozenset({"stars", "star", "rating", "score", "estrelas", "estrellas", "nota", "overall", "star_rating"})
"""Names of columns of stars; they decide where no column has one of LABEL_NAMES."""
ID_NAMES = frozenset({"id", "uuid", "guid", "key", "index", "idx", "row_id", "codigo", "código"})
MAX_SLICES, MAX_SLICE_VALUES, MIN_SLICE_ROWS = 3, 50, 30
MIN_RATING_VALUES = 5
MAX_LISTED = 5
"""Columns and values listed in a message."""


@dataclass(frozen=True, slots=True)
class ColumnOptions:
    """Columns that the user specified; None: detect it, `none`: there is no such column."""

    text: str | None = None
    label: str | None = None
    id: str | None = None
    split: str | None = None
    rating: str | None = None
    slices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """The columns by role, why, and what is still open."""

    columns: ColumnsConfig
    reasons: dict[str, str]
    """Role -> why this column."""
    choices: list[Choice] = field(default_factory=list)


def propose_roles(table: pd.DataFrame, profiles: Sequence[ColumnProfile], options: ColumnOptions) -> ColumnRoles:
    """Propose the column of each role.

    Raises:
        ConfigurationError: if an option names a column that the file does not have.
        DataContractError: if no column can be the label.
    """
    named = _named_columns([profile.name for profile in profiles], options)
    require_texts(profiles, named)
    free = [profile for profile in profiles if profile.name not in named.values()]
    reasons = {role: "as you specified" for role in named}
    choices: list[Choice] = []
    split = _role("split", named, options.split, _split_column(free), reasons)
    free = [profile for profile in free if profile.name != split]
    row_id = _role("id", named, options.id, _id_column(free), reasons)
    free = [profile for profile in free if profile.name != row_id]
    text = named.get("text") or propose_text_column(free, reasons, choices)
    free = [profile for profile in free if profile.name != text]
    rating = _role("rating", named, options.rating, _rating_column(free), reasons)
    label = named.get("label") or _label_column(free, rating, reasons, choices, options)
    if label is not None and options.rating is None:
        rating = None
    free = [profile for profile in free if profile.name not in (label, rating)]
    slices = list(options.slices) if options.slices is not None else _slice_columns(table, free, label)
    columns = ColumnsConfig(
        text=text or "", label=label, id=row_id, split=split, rating=rating, weight=None, slices=slices
    )
    return ColumnRoles(columns, reasons, choices)


def _named_columns(present: Sequence[str], options: ColumnOptions) -> dict[str, str]:
    """Return the columns given as options, by role."""
    given = {role: getattr(options, role) for role in ("text", "label", "id", "split", "rating")}
    named = {role: name for role, name in given.items() if name is not None and (name != NONE or name in present)}
    for option, name in [*named.items(), *(("slices", name) for name in options.slices or ())]:
        if name not in present:
            raise ConfigurationError(f"--{option} {name}: the file has no such column. It has {', '.join(present)}.")
    return named


def _role(
    role: str,
    named: dict[str, str],
    option: str | None,
    proposed: tuple[str, str] | None,
    reasons: dict[str, str],
) -> str | None:
    """Return the column of an optional role, and note why."""
    if role in named or option == NONE or proposed is None:
        return named.get(role)
    name, reasons[role] = proposed
    return name


def _split_column(profiles: Sequence[ColumnProfile]) -> tuple[str, str] | None:
    for profile in profiles:
        names = {value.strip().lower() for value in profile.counts}
        if "train" in {SPLIT_NAMES.get(name) for name in names} and len(names) > 1 and names <= SPLIT_NAMES.keys():
            return profile.name, "its values are " + _listed(profile.counts)
    return None


def _id_column(profiles: Sequence[ColumnProfile]) -> tuple[str, str] | None:
    for profile in profiles:
        name = profile.name.strip().lower()
        is_named = name in ID_NAMES or name.endswith(("_id", " id", "-id")) or profile.name.strip().endswith("Id")
        if is_named and profile.is_unique and profile.mean_words < 2:
            return profile.name, "its values are all different"
    return None


def _rating_column(profiles: Sequence[ColumnProfile]) -> tuple[str, str] | None:
    for profile in profiles:
        if profile.numeric and profile.lowest < 0 < profile.highest and profile.distinct >= MIN_RATING_VALUES:
            return profile.name, f"numbers from {profile.lowest:g} to {profile.highest:g}; their sign is the label"
    return None


def _label_column(
    profiles: Sequence[ColumnProfile],
    rating: str | None,
    reasons: dict[str, str],
    choices: list[Choice],
    options: ColumnOptions,
) -> str | None:
    if options.label == NONE and rating is not None:
        return None
    candidates = [profile for profile in profiles if profile.is_categorical and profile.name != rating]
    chosen = _usual_names(candidates) or candidates
    if len(chosen) == 1:
        others = ", ".join(repr(item.name) for item in candidates if item not in chosen)
        reasons["label"] = f"{chosen[0].distinct} values" + (f"; {others} could be the label too" if others else "")
        return chosen[0].name
    if rating is not None:
        return None
    choices.append(_label_choice(candidates, [profile for profile in profiles if profile.name != rating]))
    return None


def _label_choice(candidates: Sequence[ColumnProfile], others: Sequence[ColumnProfile]) -> Choice:
    """Return the question which column is the label.

    Raises:
        DataContractError: if no column can be.
    """
    if candidates:
        described = ", ".join(f"{item.name!r} ({_listed(item.counts)})" for item in candidates)
        question = f"{len(candidates)} columns could be the label: {described}."
        return Choice(question, "--label", tuple(item.name for item in candidates))
    reasons = "; ".join(f"{item.name!r} {_why_no_label(item)}" for item in others[:MAX_LISTED])
    question = f"No column has labels: {reasons or 'there is only the text'}."
    possible = tuple(item.name for item in others if item.values_repeat)
    if not possible:
        raise DataContractError(
            f"{question} A classifier needs a column with two labels or more, each in several rows."
        )
    return Choice(question, "--label", possible)


def _why_no_label(profile: ColumnProfile) -> str:
    if profile.filled == 0:
        return "is empty"
    if profile.distinct == 1:
        return f"has only the value {next(iter(profile.counts))!r}"
    if profile.decimal_comma:
        return "has numbers with a decimal comma (write them with a point for --rating)"
    return f"has {profile.distinct:,} different values in {profile.filled:,} rows"


def _usual_names(candidates: Sequence[ColumnProfile]) -> list[ColumnProfile]:
    """Return the only candidate whose name says that it is the label, or else that it has stars."""
    for names in (LABEL_NAMES, STAR_NAMES):
        usual = [profile for profile in candidates if profile.name.strip().lower() in names]
        if usual:
            return usual if len(usual) == 1 else []
    return []


def _slice_columns(table: pd.DataFrame, profiles: Sequence[ColumnProfile], label: str | None) -> list[str]:
    """Return columns with few values whose rows have different labels."""
    names = []
    for profile in profiles:
        is_small = profile.is_categorical and profile.distinct <= MAX_SLICE_VALUES and not profile.numeric
        large_values = sum(rows >= MIN_SLICE_ROWS for rows in profile.counts.values())
        if not is_small or large_values < 2 or profile.name in (*CANONICAL, *BUILT_IN_SLICES):
            continue
        # A column that tells the label says nothing about where the model is weak.
        if label is None or (table.groupby(profile.name)[label].nunique() > 1).any():
            names.append(profile.name)
    return names[:MAX_SLICES]


def _listed(counts: dict[str, int]) -> str:
    values = list(counts)
    return ", ".join(values[:MAX_LISTED]) + (f", … {len(values)} values" if len(values) > MAX_LISTED else "")
