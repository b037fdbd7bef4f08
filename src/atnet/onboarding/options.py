"""The options of `atnet init` that hold several values. Imports little: the command line reads it for its help."""

from typing import Literal

from atnet.errors import ConfigurationError

NONE = "none"
"""The value of an option that means: no such column, an empty list, an empty map."""
Stars = Literal["two", "three", "each"]
"""Labels that one to five stars become: negative and positive, neutral too, or each number."""
FileFormat = Literal["csv", "jsonl", "parquet"]
Quoting = Literal["standard", "none"]
LabelMap = dict[str, str | None]


def parse_list(text: str | None) -> tuple[str, ...] | None:
    """Return the names in `a,b`; `none` is an empty list, None stays None."""
    if text is None:
        return None
    return () if text == NONE else tuple(part.strip() for part in text.split(",") if part.strip())


def parse_label_map(text: str | None) -> LabelMap | None:
    """Return the map in `0=bad,1=good,?=`; nothing after the sign means null, `none` an empty map.

    Raises:
        ConfigurationError: if a part has no sign.
    """
    if text is None:
        return None
    if text == NONE:
        return {}
    label_map: LabelMap = {}
    for part in text.split(","):
        value, sign, label = part.partition("=")
        if not sign:
            raise ConfigurationError(f"--label-map: {part!r} is not VALUE=LABEL. Write, for example, 0=bad,1=good.")
        label_map[value.strip()] = label.strip() or None
    return label_map
