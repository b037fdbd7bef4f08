"""Find the column of the texts, and refuse one without texts."""

from collections.abc import Mapping, Sequence

from atnet.errors import ConfigurationError, DataContractError
from atnet.onboarding.choices import Choice
from atnet.onboarding.column_profiles import ColumnProfile

NO_TEXTS = "Add a column of texts to the file, or choose another column with --text."
MAX_LISTED = 5
"""Columns listed in a message."""


def require_texts(profiles: Sequence[ColumnProfile], named: Mapping[str, str]) -> None:
    """Check that the column given as the text has texts and no other role.

    Args:
        profiles: of all columns.
        named: the columns given as options, by role.

    Raises:
        ConfigurationError: with the columns to choose instead.
    """
    text = named.get("text")
    if text is None:
        return
    given = [f"--{role}" for role, name in named.items() if name == text]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} name the same column, {text!r}. Give each its own column.")
    profile = next(profile for profile in profiles if profile.name == text)
    if profile.filled and not profile.only_numbers:
        return
    others = [item for item in profiles if item.name not in named.values() and _may_be_text(item)]
    advice = f"Choose a column of texts: {', '.join(item.name for item in others)}." if others else NO_TEXTS
    raise ConfigurationError(f"--text {text}: the column {_why_no_text(profile)}. {advice}")


def propose_text_column(
    profiles: Sequence[ColumnProfile], reasons: dict[str, str], choices: list[Choice]
) -> str | None:
    """Return the column of the texts and note why, or add the question which column it is.

    Raises:
        DataContractError: if no column can be.
    """
    candidates = [profile for profile in profiles if profile.is_text]
    if len(candidates) == 1:
        reasons["text"] = f"the only column of texts, {candidates[0].mean_words:.0f} words on average"
        return candidates[0].name
    if candidates:
        described = ", ".join(f"{item.name!r} ({item.mean_words:.0f} words on average)" for item in candidates)
        question = f"{len(candidates)} columns could be the text: {described}."
    else:
        question = "No column has texts of several words."
    offered = candidates or [profile for profile in profiles if _may_be_text(profile)]
    if not offered:
        described = "; ".join(f"{item.name!r} {_why_no_text(item)}" for item in profiles[:MAX_LISTED])
        raise DataContractError(f"No column has texts: {described or 'the file has no other column'}. {NO_TEXTS}")
    choices.append(Choice(question, "--text", tuple(item.name for item in offered)))
    return None


def _may_be_text(profile: ColumnProfile) -> bool:
    """Return whether a column could hold texts, short ones included: neither numbers nor few values."""
    return profile.is_text or (profile.filled > 0 and not profile.only_numbers and not profile.is_categorical)


def _why_no_text(profile: ColumnProfile) -> str:
    if profile.filled == 0:
        return "is empty"
    if profile.only_numbers:
        return "has only numbers"
    return f"has {profile.distinct:,} different values in {profile.filled:,} rows"
