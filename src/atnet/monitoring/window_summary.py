"""The result of a window in plain sentences."""

from atnet.evaluation.bootstrap import Interval
from atnet.formatting import percent as percentage
from atnet.formatting import points, with_interval
from atnet.monitoring import accuracy_estimate, label_shift
from atnet.monitoring.alarm import StatisticResult
from atnet.monitoring.decision import NEXT_STEPS, AlarmDecision
from atnet.monitoring.drift_statistics import TITLES
from atnet.monitoring.impact import Impact, WindowImpact
from atnet.monitoring.monitor_inputs import MonitorInputs, WindowMeasurements
from atnet.monitoring.window_comparison import WindowComparison
from atnet.monitoring.window_records import WindowRecord

OTHER_LANGUAGE = 0.5
"""Mean share of unknown words from which another language or script is likely."""


def summarize_window(
    record: WindowRecord, inputs: MonitorInputs, measured: WindowMeasurements, decision: AlarmDecision
) -> list[str]:
    """Return the lines for the terminal: the window, the statistics, the accuracy, the state and what to do."""
    lines = [drift_sentence(record, measured.comparison)]
    if measured.comparison is not None:
        lines += [f"  {statistic_line(result)}" for result in measured.comparison.results]
    lines += [f"  {sentence}" for sentence in impact_sentences(measured.impact)]
    lines += [f"  note: {sentence}" for sentence in note_sentences(inputs)]
    return [*lines, f"{state_sentence(record, decision)} {NEXT_STEPS[decision.action]}"]


def state_sentence(record: WindowRecord, decision: AlarmDecision) -> str:
    """Return a sentence on whether there is an alarm, and why."""
    if decision.state == "alarm":
        return f"ALARM: {decision.drifted} of the last windows drifted."
    if record.drifted:
        return "No alarm yet: a single drifted window is not persistent."
    return "No alarm."


def drift_sentence(record: WindowRecord, comparison: WindowComparison | None) -> str:
    """Return a sentence on what was compared, and whether it drifted."""
    window = f"{record.name}: {record.rows:,} rows"
    if comparison is None:
        return f"{window}, too few distinct texts to compare. This does not mean that nothing has changed."
    compared = (
        f"{comparison.rows:,} distinct texts compared with {comparison.reference_rows:,} held-out texts of version "
        f"{record.model_version}"
    )
    test = f"(p {comparison.p_value:.3f}, level {comparison.level:.3f})"
    if comparison.drifted:
        names = ", ".join(TITLES[result.statistic] for result in comparison.results if result.drifted)
        return f"{window}, {compared}: drift in {names} {test}."
    if any(result.significant for result in comparison.results):
        return f"{window}, {compared}: a significant difference, but too small to count as drift {test}."
    return f"{window}, {compared}: no drift {test}."


def statistic_line(result: StatisticResult) -> str:
    """Describe one statistic in a line of a table."""
    mark = "drift" if result.drifted else "small" if result.significant else "-"
    return (
        f"{TITLES[result.statistic]:<23} {result.effect:6.3f}  counts from {result.min_effect:<5g}  "
        f"p {result.p_value:.3f}  {mark}"
    )


def impact_sentences(impact: WindowImpact | None) -> list[str]:
    """Return sentences on whether accuracy has dropped; an accuracy measured on labels replaces the estimates."""
    if impact is None:
        return []
    sentences = _accuracy_sentences(impact.whole)
    if impact.label_shift is not None:
        shares = ", ".join(
            f"{label} {window.value:.0%} ({window.low:.0%} to {window.high:.0%}; held-out {reference:.0%})"
            for label, window, reference in zip(
                impact.label_shift.labels, impact.label_shift.window, impact.label_shift.reference, strict=True
            )
        )
        sentences.append(f"Estimated label shares: {shares}. {label_shift.ASSUMPTION}")
    return sentences


def note_sentences(inputs: MonitorInputs) -> list[str]:
    """Return sentences on which rows were excluded, and on what a reader should know about the files."""
    counts, version = inputs.prepared.counts, inputs.champion.version
    excluded = [
        (counts.other_model, f"Rows predicted by another model than version {version}, without a text, excluded"),
        (counts.without_text, "Rows without a text, excluded"),
        (counts.trained_on, "Rows whose text the champion was trained on, excluded because it is surer of them"),
        (counts.repeated, "Rows that repeat a text of the window (each text is compared once)"),
        (counts.in_reference, "Texts that are also among the held-out rows, excluded from both sides"),
    ]
    notes = [*inputs.notes, *(f"{reason}: {rows:,}." for rows, reason in excluded if rows)]
    unknown = inputs.prepared.features.unknown
    if len(unknown) and float(unknown.mean()) >= OTHER_LANGUAGE:
        notes.append(
            f"On average, {unknown.mean():.0%} of the words of a text are unknown to the model. Is this another "
            "language or script?"
        )
    return notes


def _accuracy_sentences(whole: Impact) -> list[str]:
    if whole.measured is not None:
        accuracy = with_interval(whole.measured, percentage)
        return [f"Accuracy on {whole.labeled:,} labeled rows: {accuracy}{_change(whole.change)}."]
    if whole.estimated is None:
        return []
    reference = f"; {whole.reference.value:.1%} on the held-out rows" if whole.reference else ""
    accuracy = with_interval(whole.estimated, percentage)
    return [f"Estimated accuracy: {accuracy}{reference}. {accuracy_estimate.ASSUMPTION}"]


def _change(change: Interval | None) -> str:
    if change is None:
        return ""
    difference = f"{points(change.value)} points ({points(change.low)} to {points(change.high)})"
    if change.high < 0:
        return f", lower than on the held-out rows: {difference}"
    if change.low > 0:
        return f", higher than on the held-out rows: {difference}"
    return f", not clearly different from the held-out rows: {difference}"
