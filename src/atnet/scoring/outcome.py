"""The outcome of a scoring run, and its summary."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from atnet.scoring.manifest import Manifest
from atnet.scoring.partitions import Partition, count


@dataclass(frozen=True, slots=True)
class PendingPartition:
    """A partition to score, and why."""

    partition: Partition
    reason: str


@dataclass(frozen=True, slots=True)
class ScoringPlan:
    """The partitions that a run has to score."""

    pending: Sequence[PendingPartition]
    up_to_date: Sequence[Manifest]
    """Manifests of the partitions that need not be scored."""
    notes: Sequence[str] = ()
    has_input: bool = True
    """False for a folder without data files, whose path is most likely wrong."""


@dataclass(frozen=True, slots=True)
class FailedPartition:
    """A partition that could not be scored."""

    partition: Partition
    message: str


@dataclass(frozen=True, slots=True)
class ScoringOutcome:
    """The outcome of a run."""

    plan: ScoringPlan
    scored: Sequence[Manifest] = ()
    failed: Sequence[FailedPartition] = ()
    seconds: float = 0.0
    model_sha256: str | None = None
    """Hash of the model that scored; None if nothing had to be scored."""

    def summary(self) -> str:
        """Summarize the run in a few lines."""
        return "\n".join([self._result(), *self.plan.notes, *self._other_versions(), *self._failures()])

    def _result(self) -> str:
        up_to_date = len(self.plan.up_to_date)
        if not self.plan.pending:
            return (
                f"nothing to score: {count(up_to_date, 'partition')} up to date" if up_to_date else "nothing to score"
            )
        rows = sum(manifest.rows_in for manifest in self.scored)
        rejected: Counter[str] = Counter()
        for manifest in self.scored:
            rejected.update(manifest.rejected_by_reason)
        parts = [f"{count(len(self.scored), 'partition')}, {count(rows, 'row')}"]
        if self.scored:
            parts[0] += f", scored by version {self.scored[-1].version} of {self.scored[-1].model}"
        set_aside = sum(manifest.rows_rejected for manifest in self.scored)
        if set_aside:
            reasons = ", ".join(f"{reason} {rows_failing:,}" for reason, rows_failing in rejected.most_common())
            parts.append(f"{count(set_aside, 'row')} rejected ({reasons})")
        if up_to_date:
            parts.append(f"{count(up_to_date, 'partition')} up to date")
        return "; ".join(parts) + f"; {_duration(self.seconds)}, {rows / max(self.seconds, 1e-9):,.0f} texts/s"

    def _other_versions(self) -> list[str]:
        others = sum(manifest.model_sha256 != self.model_sha256 for manifest in self.plan.up_to_date)
        if self.model_sha256 is None or not others:
            return []
        return [f"Another version scored {count(others, 'partition')}; --stale scores them again."]

    def _failures(self) -> list[str]:
        lines = [f"  {failure.partition.name}: {failure.message}" for failure in self.failed]
        return [f"{count(len(self.failed), 'partition')} could not be scored:", *lines] if self.failed else []


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
