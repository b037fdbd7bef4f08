"""The ledger of looks at the test splits: one line of JSON for each model, configuration and set that was judged.

It is committed, so that everyone can count how often a test split was read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atnet.errors import DataFileError

DECIMALS = 5
"""Of the figures in the ledger, so that people can read it."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look."""

    set: str
    model: str
    configuration: str
    """Hash of the data, the code, the parameters and the versions, the seed left out."""
    seeds: tuple[int, ...]
    commit: str
    date: str
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the table shows."""

    def is_of(self, other: "Look") -> bool:
        """Tell whether both look at the same: set, model, configuration and seeds."""
        return (self.set, self.model, self.configuration, self.seeds) == (
            other.set,
            other.model,
            other.configuration,
            other.seeds,
        )


def read_ledger(path: Path) -> list[Look]:
    """Read all looks, oldest first; none where there is no ledger yet.

    Raises:
        DataFileError: naming the line that cannot be read.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    looks = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
            looks.append(Look(**{**values, "seeds": tuple(values["seeds"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise DataFileError(
                f"Line {number} of {path} is not a look ({error}). Bring the file back with `git checkout {path.name}`."
            ) from error
    return looks


def append_look(path: Path, look: Look) -> None:
    """Write one more line at the end; no line is ever changed."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(_rounded(asdict(look)), ensure_ascii=False) + "\n")


def find_look(looks: Sequence[Look], wanted: Look) -> Look | None:
    """Find the last look at the same; None where it was never looked at."""
    return next((look for look in reversed(looks) if look.is_of(wanted)), None)


def count_looks(looks: Sequence[Look]) -> dict[tuple[str, str], int]:
    """Count the looks by set and model."""
    counted: dict[tuple[str, str], int] = {}
    for look in looks:
        counted[look.set, look.model] = counted.get((look.set, look.model), 0) + 1
    return counted


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, DECIMALS) if isinstance(value, float) else value
