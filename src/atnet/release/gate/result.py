"""What goes into the gate and what comes out of it: the words that judging and moving share.

Letters in array names: N rows, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from atnet.release.behavior.runner import BehaviorResult

CheckStatus = Literal["passed", "failed", "warning", "not checked"]
Decision = Literal["promote", "reject", "no change"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing the gate looked at. Only `failed` keeps a model from being promoted."""

    name: str
    outcome: CheckStatus
    observed: str
    """What was found, with its unit."""
    required: str
    """What the rule asks for."""
    reason: str
    """One sentence for people: why the outcome is what it is, and what to do where something can be done."""


@dataclass(frozen=True, slots=True)
class ModelPredictions:
    """What one model answered on given rows."""

    model: str
    """SHA-256 of the model's files."""
    labels: tuple[str, ...]
    ids: Sequence[str]
    """(N,) ids of the rows, in the table's order."""
    probabilities: np.ndarray
    """(N, C) calibrated; columns in the order of `labels`."""


@dataclass(frozen=True, slots=True)
class Golden:
    """A frozen labeled set that never changes with the data, and the answers on it."""

    table: pd.DataFrame
    """Columns id, text, label; `text_hash` where known."""
    challenger: ModelPredictions
    champion: ModelPredictions | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Median time one text takes, in milliseconds, each model in its own process on the same machine."""

    challenger_ms: float
    champion_ms: float | None


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's decision and everything it rests on."""

    decision: Decision
    rule: str
    """superior or not_worse."""
    checks: tuple[CheckResult, ...]
    challenger: str
    """SHA-256 of the model's files."""
    champion: str | None
    rows_compared: int
    """Test rows on which challenger and champion were compared."""
    rows_left_out: int
    """Test rows left out for both, because the champion was trained on their text."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What was measured, for metrics: accuracy, macro_f1, champion_lead, champion_lead_low, baseline_lead, ..."""
    behavior: BehaviorResult | None = None
    """Of the challenger, for the model card; None where it was not asked."""

    @property
    def failed(self) -> list[str]:
        """Name the checks that failed."""
        return [check.name for check in self.checks if check.outcome == "failed"]

    @property
    def reasons(self) -> list[str]:
        """Say why the model is rejected: the reason of each failed check."""
        return [f"{check.name}: {check.reason}" for check in self.checks if check.outcome == "failed"]

    @property
    def warnings(self) -> list[str]:
        """Say what a reviewer should look at though it does not stand in the way."""
        return [f"{check.name}: {check.reason}" for check in self.checks if check.outcome == "warning"]

    def to_dict(self) -> dict[str, Any]:
        """Give the contents of gate.json."""
        return {
            "decision": self.decision,
            "rule": self.rule,
            "challenger": self.challenger,
            "champion": self.champion,
            "rows_compared": self.rows_compared,
            "rows_left_out": self.rows_left_out,
            "reasons": self.reasons,
            "warnings": self.warnings,
            "numbers": dict(self.numbers),
            "checks": [
                {
                    "name": check.name,
                    "outcome": check.outcome,
                    "observed": check.observed,
                    "required": check.required,
                    "reason": check.reason,
                }
                for check in self.checks
            ],
            "behavior": self.behavior.to_dict() if self.behavior else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GateResult":
        """Read back what `to_dict` gave."""
        return cls(
            decision=values["decision"],
            rule=values["rule"],
            checks=tuple(CheckResult(**check) for check in values["checks"]),
            challenger=values["challenger"],
            champion=values["champion"],
            rows_compared=values["rows_compared"],
            rows_left_out=values["rows_left_out"],
            numbers=values["numbers"],
            behavior=BehaviorResult.from_dict(values["behavior"]) if values["behavior"] else None,
        )

    def to_markdown(self) -> str:
        """Write the verdict for people: the decision, its reasons, and every check in a table."""
        against = "There is no champion to compare with."
        if self.champion:
            against = (
                f"Champion: `{self.champion[:8]}`. {self.rows_compared:,} test rows compared, "
                f"{self.rows_left_out:,} left out."
            )
        lines = [
            f"# Gate: {self.decision}",
            "",
            f"Challenger: `{self.challenger[:8]}`. Rule: `{self.rule}`. {against}",
            "",
            *(f"- **Failed** {reason}" for reason in self.reasons),
            *(f"- **Warning** {warning}" for warning in self.warnings),
            *([""] if self.reasons or self.warnings else []),
            "| check | outcome | found | required |",
            "|---|---|---|---|",
            *(
                f"| {check.name} | {check.outcome} | {_cell(check.observed)} | {_cell(check.required)} |"
                for check in self.checks
            ),
        ]
        return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
