"""The gate's decision and the checks behind it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from atnet.config import Severity
from atnet.formatting import markdown_table, markdown_text
from atnet.release.behavior.runner import BehaviorResult

CheckStatus = Literal["passed", "failed", "warning", "skipped"]
Decision = Literal["promote", "reject"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of the gate. Only the status `failed` keeps a model from being promoted."""

    name: str
    status: CheckStatus
    observed: str
    """What was measured, with its unit."""
    required: str
    """What the check requires."""
    reason: str
    """One sentence: why the status is what it is, and what to do if anything can be done."""


def check_status(passed: bool, severity: Severity = "critical") -> CheckStatus:
    """Return the status of a check, given what a violation means."""
    if severity == "off":
        return "skipped"
    if passed:
        return "passed"
    return "failed" if severity == "critical" else "warning"


def skipped(name: str, required: str, reason: str) -> CheckResult:
    """Return the result of a check that had nothing to compare."""
    return CheckResult(name, "skipped", "-", required, reason)


@dataclass(frozen=True, slots=True)
class GateResult:
    """The decision, every check and the metrics behind them."""

    decision: Decision
    rule: str
    """superiority or non_inferiority."""
    checks: tuple[CheckResult, ...]
    challenger: str
    """SHA-256 of the model files."""
    champion: str | None
    rows_compared: int
    """Test rows on which challenger and champion were compared."""
    rows_excluded: int
    """Test rows excluded for both models, because the champion was trained on their text."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """accuracy, macro_f1, champion_delta, champion_delta_low, baseline_delta, ..."""
    behavior: BehaviorResult | None = None
    """The challenger's results, for the model card; None if no suite was run."""

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if check.status == "failed"]

    @property
    def reasons(self) -> list[str]:
        """The reason of each failed check."""
        return [f"{check.name}: {check.reason}" for check in self.checks if check.status == "failed"]

    @property
    def warnings(self) -> list[str]:
        """The reason of each check that a reviewer should look at."""
        return [f"{check.name}: {check.reason}" for check in self.checks if check.status == "warning"]

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of gate.json."""
        return {
            "decision": self.decision,
            "rule": self.rule,
            "challenger": self.challenger,
            "champion": self.champion,
            "rows_compared": self.rows_compared,
            "rows_excluded": self.rows_excluded,
            "reasons": self.reasons,
            "warnings": self.warnings,
            "metrics": dict(self.metrics),
            "checks": [asdict(check) for check in self.checks],
            "behavior": self.behavior.to_dict() if self.behavior else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GateResult":
        """Build a result from what `to_dict` returned."""
        return cls(
            decision=values["decision"],
            rule=values["rule"],
            checks=tuple(CheckResult(**check) for check in values["checks"]),
            challenger=values["challenger"],
            champion=values["champion"],
            rows_compared=values["rows_compared"],
            rows_excluded=values["rows_excluded"],
            metrics=values["metrics"],
            behavior=BehaviorResult.from_dict(values["behavior"]) if values["behavior"] else None,
        )

    def to_markdown(self) -> str:
        """Return the decision, its reasons and a table of every check, for people."""
        comparison = "There is no champion to compare with."
        if self.champion:
            comparison = (
                f"Champion: `{self.champion[:8]}`. {self.rows_compared:,} test rows compared, "
                f"{self.rows_excluded:,} excluded."
            )
        rows = [
            [markdown_text(cell) for cell in (check.name, check.status, check.observed, check.required)]
            for check in self.checks
        ]
        lines = [
            f"# Gate: {self.decision}",
            "",
            f"Challenger: `{self.challenger[:8]}`. Rule: `{self.rule}`. {comparison}",
            "",
            *(f"- **Failed** {reason}" for reason in self.reasons),
            *(f"- **Warning** {warning}" for warning in self.warnings),
            *([""] if self.reasons or self.warnings else []),
            markdown_table(("check", "status", "observed", "required"), rows),
        ]
        return "\n".join(lines) + "\n"
