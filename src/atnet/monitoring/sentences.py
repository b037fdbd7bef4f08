"""What monitoring found, in plain sentences."""

from atnet.monitoring.alarm import Finding
from atnet.monitoring.decision import NEXT_STEPS
from atnet.monitoring.drift_statistics import POOLED_MMD, TITLES
from atnet.monitoring.workflow import Outcome


def summarize(outcome: Outcome) -> list[str]:
    """Return what a terminal shows: the window, the result, the statistics, what to do."""
    lines = [_headline(outcome)]
    comparison = outcome.measured.comparison
    if comparison is not None:
        lines += [f"  {finding_sentence(one)}" for one in comparison.findings]
    lines.append(f"{outcome.record.state}: {NEXT_STEPS[outcome.decision.action]}")
    return lines


def finding_sentence(finding: Finding) -> str:
    """Describe one statistic."""
    mark = "DRIFT" if finding.drifted else "small" if finding.significant else "     "
    return (
        f"{mark}  {TITLES[finding.statistic]:<22} {finding.effect:6.3f} (counts from {finding.limit:g}), "
        f"adjusted p {finding.adjusted:.3f}"
    )


def _headline(outcome: Outcome) -> str:
    record, comparison = outcome.record, outcome.measured.comparison
    where = f"{record.name}: {record.rows:,} rows"
    if comparison is None:
        return f"{where}: too few distinct texts to compare."
    result = "drift" if comparison.drifted else "no drift"
    return (
        f"{where}, {comparison.rows:,} compared with {comparison.reference_rows:,} held-out rows of version "
        f"{record.model_version}: {result} (p {comparison.p_value:.3f}, level {comparison.level:.3f})"
    )
