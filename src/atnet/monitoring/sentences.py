"""What monitoring found, in plain sentences."""

from atnet.evaluation.bootstrap import Interval
from atnet.monitoring import accuracy_estimate, label_shift
from atnet.monitoring.alarm import Finding
from atnet.monitoring.comparison import Comparison
from atnet.monitoring.decision import NEXT_STEPS, Decision
from atnet.monitoring.drift_statistics import TITLES
from atnet.monitoring.impact import Impact, WindowImpact
from atnet.monitoring.inputs import Measured, MonitorInputs
from atnet.monitoring.records import WindowRecord

OTHER_SCRIPT = 0.5
"""Mean share of unknown words from which another language or script is likely."""


def summarize(record: WindowRecord, inputs: MonitorInputs, measured: Measured, decision: Decision) -> list[str]:
    """Return what a terminal shows: the window, the result, the statistics, whether it hurts, what to do."""
    lines = [drift_sentence(record, measured.comparison)]
    if measured.comparison is not None:
        lines += [f"  {finding_line(one)}" for one in measured.comparison.findings]
    lines += [f"  {sentence}" for sentence in impact_sentences(measured.impact)]
    lines += [f"  note: {sentence}" for sentence in count_sentences(inputs)]
    return [*lines, f"{state_sentence(record, decision)} {NEXT_STEPS[decision.action]}"]


def state_sentence(record: WindowRecord, decision: Decision) -> str:
    """Say whether there is an alarm, and why."""
    if decision.state == "alarm":
        return f"ALARM: {decision.drifted} of the last windows drifted."
    if record.drifted:
        return "No alarm yet: one window of drift is not persistent."
    return "No alarm."


def drift_sentence(record: WindowRecord, comparison: Comparison | None) -> str:
    """Say what was compared and what came of it."""
    where = f"{record.name}: {record.rows:,} rows"
    if comparison is None:
        return f"{where}, too few distinct texts to compare. That is no sign that nothing changed."
    against = (
        f"{comparison.rows:,} distinct texts compared with {comparison.reference_rows:,} held-out rows of version "
        f"{record.model_version}"
    )
    numbers = f"(p {comparison.p_value:.3f}, level {comparison.level:.3f})"
    if comparison.drifted:
        names = ", ".join(TITLES[one.statistic] for one in comparison.findings if one.drifted)
        return f"{where}, {against}: drift in {names} {numbers}."
    if any(one.significant for one in comparison.findings):
        return f"{where}, {against}: a difference, but a small one {numbers}."
    return f"{where}, {against}: no drift {numbers}."


def finding_line(finding: Finding) -> str:
    """Describe one statistic in a line of a table."""
    mark = "drift" if finding.drifted else "small" if finding.significant else "-"
    return (
        f"{TITLES[finding.statistic]:<22} {finding.effect:6.3f}  counts from {finding.limit:<5g}  "
        f"adjusted p {finding.adjusted:.3f}  {mark}"
    )


def impact_sentences(impact: WindowImpact | None) -> list[str]:
    """Say whether it hurts; what was measured on labels stands in the place of an estimate."""
    if impact is None:
        return []
    sentences = [*_accuracy(impact.whole)]
    if impact.label_shift is not None:
        shares = ", ".join(
            f"{label} {value.value:.0%} ({value.low:.0%} to {value.high:.0%}; held-out {known:.0%})"
            for label, value, known in zip(
                impact.label_shift.labels, impact.label_shift.window, impact.label_shift.reference, strict=True
            )
        )
        sentences.append(f"Estimated label shares: {shares}. {label_shift.ASSUMPTION}")
    return sentences


def count_sentences(inputs: MonitorInputs) -> list[str]:
    """Say which rows were left out, and what a reader should know of the files."""
    counts, notes = inputs.prepared.counts, list(inputs.notes)
    version = inputs.champion.version
    left_out = [
        (counts.other_model, f"Rows of another model than version {version}, without a text to answer again, left out"),
        (counts.without_text, "Rows without a text, left out"),
        (counts.trained_on, "Rows whose text the champion was trained on, left out since it is surer of those"),
        (counts.repeated, "Rows that repeat a text of the window (each text is compared once)"),
        (counts.in_reference, "Texts that are among the held-out rows too, left out on both sides"),
    ]
    notes += [f"{what}: {rows:,}." for rows, what in left_out if rows]
    unknown = inputs.prepared.features.unknown
    if len(unknown) and float(unknown.mean()) >= OTHER_SCRIPT:
        notes.append(
            f"On average {unknown.mean():.0%} of the words of a text are unknown to the model: is this another "
            "language or script?"
        )
    return notes


def _accuracy(whole: Impact) -> list[str]:
    if whole.measured is not None:
        return [f"Accuracy on {whole.labeled:,} labeled rows: {_percent(whole.measured)}{_change(whole.change)}."]
    if whole.estimated is None:
        return []
    known = f"; {whole.reference.value:.1%} on the held-out rows" if whole.reference else ""
    return [
        f"Estimated accuracy: {_percent(whole.estimated)}{known}. {accuracy_estimate.ASSUMPTION}",
    ]


def _change(change: Interval | None) -> str:
    if change is None:
        return ""
    points = f"{100 * change.value:+z.1f} points ({100 * change.low:+z.1f} to {100 * change.high:+z.1f})"
    if change.high < 0:
        return f", below that on the held-out rows by {points}: this hurts"
    if change.low > 0:
        return f", above that on the held-out rows by {points}"
    return f", not clearly different from the held-out rows ({points})"


def _percent(value: Interval) -> str:
    return f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%})"
