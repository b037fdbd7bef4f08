"""The ledger of evaluations on test splits: one line of JSON per dataset, model and configuration.

It is committed, so that everyone can count how often a test split was read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atnet.errors import DataFileError
from benchmarks.accuracy.models import ATNET_PUBLISHED

DECIMALS = 5
"""Of the numbers in the ledger, so that people can read it."""
RENAMED_MODELS = {"atnet_seed": ATNET_PUBLISHED}
"""Names in lines that were written before version 0.2.0; no line is ever changed."""


@dataclass(frozen=True, slots=True)
class TestEvaluation:
    """One evaluation of a model on a test split."""

    __test__ = False  # not a test class, whatever its name begins with

    set: str
    model: str
    configuration: str
    """Hash of data, code, parameters and package versions, without the seed."""
    seeds: tuple[int, ...]
    commit: str
    date: str
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the table shows."""

    def repeats(self, other: "TestEvaluation") -> bool:
        """Return whether both evaluate the same: dataset, model, configuration and seeds."""
        return (self.set, self.model, self.configuration, self.seeds) == (
            other.set,
            other.model,
            other.configuration,
            other.seeds,
        )


def read_ledger(path: Path) -> list[TestEvaluation]:
    """Read all evaluations, oldest first; none if there is no ledger yet.

    Raises:
        DataFileError: naming the line that cannot be read.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    evaluations = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
            values["model"] = RENAMED_MODELS.get(values["model"], values["model"])
            evaluations.append(TestEvaluation(**{**values, "seeds": tuple(values["seeds"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise DataFileError(
                f"Line {number} of {path} cannot be read ({error}). Restore the file with `git checkout {path.name}`."
            ) from error
    return evaluations


def append_evaluation(path: Path, evaluation: TestEvaluation) -> None:
    """Append one line; no line is ever changed."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(_rounded(asdict(evaluation)), ensure_ascii=False) + "\n")


def find_evaluation(evaluations: Sequence[TestEvaluation], wanted: TestEvaluation) -> TestEvaluation | None:
    """Return the latest evaluation of the same, or None."""
    return next((evaluation for evaluation in reversed(evaluations) if evaluation.repeats(wanted)), None)


def count_evaluations(evaluations: Sequence[TestEvaluation]) -> dict[tuple[str, str], int]:
    """Count the evaluations by dataset and model."""
    counts: dict[tuple[str, str], int] = {}
    for evaluation in evaluations:
        counts[evaluation.set, evaluation.model] = counts.get((evaluation.set, evaluation.model), 0) + 1
    return counts


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, DECIMALS) if isinstance(value, float) else value
