"""Behaviour suites: what any model of a task must be able to do, whatever its scores (Ribeiro et al., ACL 2020).

    suites = [Suite.load(root / name) for name in config.behavior.suites]
    result = run_suites(suites, predictor.labels, lambda texts: predictor.predict(texts).probabilities)

Letters in array names: N texts, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atnet.evaluation.metrics import Floats
from atnet.release.behavior.suites import KINDS, Case, Kind, Suite

__all__ = ["KINDS", "BehaviorResult", "Failure", "GroupResult", "Kind", "Suite", "run_suites"]

LISTED_FAILURES = 5
"""Failures kept per group; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A case the model did not pass."""

    texts: tuple[str, ...]
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class GroupResult:
    """How the model did on cases that belong together."""

    suite: str
    kind: Kind
    group: str
    cases: int
    """Cases asked."""
    passed: int
    skipped: int
    """Cases not asked, because the model does not have their label."""
    failures: tuple[Failure, ...]
    """The first few."""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a file."""
        return {
            "suite": self.suite,
            "kind": self.kind,
            "group": self.group,
            "cases": self.cases,
            "passed": self.passed,
            "skipped": self.skipped,
            "failures": [
                {"texts": list(one.texts), "expected": one.expected, "found": one.found} for one in self.failures
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GroupResult":
        """Read back what `to_dict` gave."""
        failures = tuple(Failure(tuple(one["texts"]), one["expected"], one["found"]) for one in values["failures"])
        return cls(**{**values, "failures": failures})


@dataclass(frozen=True, slots=True)
class BehaviorResult:
    """How the model did on every suite."""

    groups: tuple[GroupResult, ...]

    def of_kind(self, kind: Kind) -> list[GroupResult]:
        """Choose the groups of a kind."""
        return [one for one in self.groups if one.kind == kind]

    def cases(self, kind: Kind) -> int:
        """Count the cases asked."""
        return sum(one.cases for one in self.of_kind(kind))

    def passed(self, kind: Kind) -> int:
        """Count the cases passed."""
        return sum(one.passed for one in self.of_kind(kind))

    def skipped(self, kind: Kind) -> int:
        """Count the cases not asked, because the model does not have their label."""
        return sum(one.skipped for one in self.of_kind(kind))

    def weakest(self, kind: Kind) -> str:
        """Name the group with the most failures."""
        worst = max(self.of_kind(kind), key=lambda one: one.cases - one.passed)
        return f"{worst.group} ({worst.suite}), {worst.cases - worst.passed} of {worst.cases}"

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a file."""
        return {
            "kinds": {
                kind: {"cases": self.cases(kind), "passed": self.passed(kind), "skipped": self.skipped(kind)}
                for kind in KINDS
            },
            "groups": [one.to_dict() for one in self.groups],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BehaviorResult":
        """Read back what `to_dict` gave."""
        return cls(tuple(GroupResult.from_dict(one) for one in values["groups"]))


def run_suites(
    suites: Sequence[Suite], labels: Sequence[str], answer: Callable[[Sequence[str]], np.ndarray]
) -> BehaviorResult:
    """Ask every case that speaks of the model's labels.

    Args:
        suites: the cases.
        labels: of the model.
        answer: gives (N, C) probabilities in the labels' order; called once, with all distinct texts, or never when
            there is nothing to ask.
    """
    cases = [case for suite in suites for case in suite.cases()]
    asked = [case for case in cases if case.label is None or case.label in labels]
    texts = list(dict.fromkeys(text for case in asked for text in case.texts))
    probabilities_NC = np.asarray(answer(texts), dtype=np.float64) if texts else np.zeros((0, len(labels)))
    answers = dict(zip(texts, probabilities_NC, strict=True))
    grouped: dict[tuple[str, Kind, str], list[Case]] = {}
    for case in cases:
        grouped.setdefault((case.suite, case.kind, case.group), []).append(case)
    return BehaviorResult(tuple(_judge_group(key, group, labels, answers) for key, group in grouped.items()))


def _judge_group(
    key: tuple[str, Kind, str], cases: Sequence[Case], labels: Sequence[str], answers: Mapping[str, Floats]
) -> GroupResult:
    asked = [case for case in cases if case.label is None or case.label in labels]
    judged = [_judge(case, labels, [answers[text] for text in case.texts]) for case in asked]
    failures = [one for one in judged if one is not None]
    return GroupResult(
        *key,
        cases=len(asked),
        passed=len(asked) - len(failures),
        skipped=len(cases) - len(asked),
        failures=tuple(failures[:LISTED_FAILURES]),
    )


def _judge(case: Case, labels: Sequence[str], probabilities: Sequence[Floats]) -> Failure | None:
    given = [labels[int(one.argmax())] for one in probabilities]
    if case.kind == "MFT":
        return None if given[0] == case.label else Failure(case.texts, f"{case.label}", given[0])
    if case.kind == "INV":
        return None if given[0] == given[1] else Failure(case.texts, "the same label", f"{given[0]}, then {given[1]}")
    before, after = (float(one[list(labels).index(str(case.label))]) for one in probabilities)
    moved = after - before if case.direction == "up" else before - after
    # At least `by`; where `by` is 0, not the wrong way.
    if moved >= case.min_change:
        return None
    return Failure(
        case.texts, f"{case.label} {case.direction} by {case.min_change:g}", f"{before:.3f}, then {after:.3f}"
    )
