"""Run behavior suites: capabilities a model must have whatever its scores (CheckList, Ribeiro et al., ACL 2020).

    suites = [Suite.load(root / name) for name in config.behavior.suites]
    result = run_suites(suites, predictor.labels, lambda texts: predictor.predict(texts).probabilities)

Letters in array names: N texts, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from atnet.evaluation.metrics import Floats
from atnet.release.behavior.suites import TEST_TYPES, Case, CheckListType, Suite

LISTED_FAILURES = 5
"""Failures listed per group; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that the model did not pass."""

    texts: tuple[str, ...]
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class GroupResult:
    """The cases of one group."""

    suite: str
    test_type: CheckListType
    group: str
    cases: int
    """Cases that were run."""
    passed: int
    skipped: int
    """Cases that were not run, because the model does not have their label."""
    failures: tuple[Failure, ...]
    """The first few."""

    @property
    def failed(self) -> int:
        """Number of cases that failed."""
        return self.cases - self.passed

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GroupResult":
        """Build a result from what `asdict` returned."""
        failures = tuple(Failure(**{**failure, "texts": tuple(failure["texts"])}) for failure in values["failures"])
        return cls(**{**values, "failures": failures})


@dataclass(frozen=True, slots=True)
class BehaviorResult:
    """The results of every suite."""

    groups: tuple[GroupResult, ...]

    def of_type(self, test_type: CheckListType) -> list[GroupResult]:
        """Return the groups of a test type."""
        return [group for group in self.groups if group.test_type == test_type]

    def cases(self, test_type: CheckListType) -> int:
        """Count the cases that were run."""
        return sum(group.cases for group in self.of_type(test_type))

    def passed(self, test_type: CheckListType) -> int:
        """Count the cases that passed."""
        return sum(group.passed for group in self.of_type(test_type))

    def skipped(self, test_type: CheckListType) -> int:
        """Count the cases that were not run, because the model does not have their label."""
        return sum(group.skipped for group in self.of_type(test_type))

    def weakest(self, test_type: CheckListType) -> str:
        """Describe the group with the most failures."""
        worst = max(self.of_type(test_type), key=lambda group: group.failed)
        return f"{worst.group} ({worst.suite}), {worst.failed} of {worst.cases}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file."""
        return {
            "test_types": {
                test_type: {
                    "cases": self.cases(test_type),
                    "passed": self.passed(test_type),
                    "skipped": self.skipped(test_type),
                }
                for test_type in TEST_TYPES
            },
            "groups": [asdict(group) for group in self.groups],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BehaviorResult":
        """Build a result from what `to_dict` returned."""
        return cls(tuple(GroupResult.from_dict(group) for group in values["groups"]))


def run_suites(
    suites: Sequence[Suite], labels: Sequence[str], predict: Callable[[Sequence[str]], np.ndarray]
) -> BehaviorResult:
    """Run every case that uses the model's labels.

    Args:
        suites: the cases.
        labels: of the model.
        predict: returns (N, C) probabilities in the order of `labels`; called once with all distinct texts, or never
            if there is no case to run.
    """
    cases = [case for suite in suites for case in suite.cases()]
    texts = list(dict.fromkeys(text for case in cases if _uses_labels(case, labels) for text in case.texts))
    probabilities_NC = np.asarray(predict(texts), dtype=np.float64) if texts else np.zeros((0, len(labels)))
    predictions = dict(zip(texts, probabilities_NC, strict=True))
    groups: dict[tuple[str, CheckListType, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.suite, case.test_type, case.group), []).append(case)
    return BehaviorResult(tuple(_run_group(key, group, labels, predictions) for key, group in groups.items()))


def _uses_labels(case: Case, labels: Sequence[str]) -> bool:
    return case.label is None or case.label in labels


def _run_group(
    key: tuple[str, CheckListType, str],
    cases: Sequence[Case],
    labels: Sequence[str],
    predictions: Mapping[str, Floats],
) -> GroupResult:
    run = [case for case in cases if _uses_labels(case, labels)]
    results = [_run_case(case, labels, [predictions[text] for text in case.texts]) for case in run]
    failures = [result for result in results if result is not None]
    return GroupResult(
        *key,
        cases=len(run),
        passed=len(run) - len(failures),
        skipped=len(cases) - len(run),
        failures=tuple(failures[:LISTED_FAILURES]),
    )


def _run_case(case: Case, labels: Sequence[str], probabilities: Sequence[Floats]) -> Failure | None:
    """Return the failure, or None if the case passes."""
    predicted = [labels[int(row.argmax())] for row in probabilities]
    if case.test_type == "MFT":
        return None if predicted[0] == case.label else Failure(case.texts, f"{case.label}", predicted[0])
    if case.test_type == "INV":
        same = predicted[0] == predicted[1]
        return None if same else Failure(case.texts, "the same label", f"{predicted[0]}, then {predicted[1]}")
    before, after = (float(row[list(labels).index(str(case.label))]) for row in probabilities)
    change = after - before if case.direction == "up" else before - after
    # At least `min_change`; if that is 0, not in the wrong direction.
    if change >= case.min_change:
        return None
    expected = f"{case.label} {case.direction} by {case.min_change:g}"
    return Failure(case.texts, expected, f"{before:.3f}, then {after:.3f}")
