"""The results as Markdown tables, with the notes that are needed to read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from atnet.evaluation.bootstrap import Interval
from benchmarks.accuracy.comparison import ResultRow
from benchmarks.accuracy.models import TITLES
from benchmarks.measure import markdown_table

NOTE = """\
Accuracy and macro-F1 in percent, means over the seeds, with 95 % intervals over texts and seeds (2,000 resamples).
ECE: expected calibration error in 15 bins; AtNet's probabilities after temperature scaling, the baselines' without.
Seconds: one training with the chosen settings on one thread, without the search for them; AtNet's include the export
and its check. Parameters: all numbers of the model, fixed ratios included. The linear models have no randomness and
are fitted once."""
VALIDATION_NOTE = """\
C, fastText's settings, AtNet's best epoch and its temperature were chosen on validation, so these scores are slightly
too good for all models alike."""
TEST_NOTE = "Everything was chosen on validation. Each evaluation on a test split is a line of the ledger."
BASELINE_NOTE = """\
Paired over the texts. The baselines: the one with the highest accuracy in the table above, and the linear SVM."""


def datasets_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Describe the datasets by the reports of their split stage."""
    header = ["dataset", "labels", "train", "validation", "test", "dropped from validation", "dropped from test"]
    rows = []
    for name, report in reports.items():
        sizes = [f"{report['splits'][split]['rows']:,}" for split in ("train", "validation", "test")]
        dropped = [f"{report['excluded'][split]['rows']:,}" for split in ("validation", "test")]
        rows.append([name, str(len(report["labels"]["overall_share"])), *sizes, *dropped])
    return f"{markdown_table(header, rows)}\n\nDropped: texts that also occur in train, exactly or as near duplicates."


def models_table(rows: Sequence[ResultRow]) -> str:
    """Show every model on every dataset."""
    header = ["dataset", "model", "accuracy", "interval", "macro-F1", "interval"]
    header += ["ECE", "seconds", "parameters", "seeds"]
    lines = [
        [
            row.set,
            TITLES.get(row.model, row.model),
            percent(row.accuracy.value),
            percent_interval(row.accuracy),
            percent(row.macro_f1.value),
            percent_interval(row.macro_f1),
            f"{row.calibration_error:.3f}",
            f"{row.seconds:,.1f}",
            f"{row.parameters:,}",
            str(len(row.seeds)),
        ]
        for row in rows
    ]
    return markdown_table(header, lines, left=2)


def baseline_table(rows: Sequence[ResultRow]) -> str:
    """Show AtNet minus the best baseline of each dataset, and minus the linear SVM where that is another one."""
    header = ["dataset", "model", "baseline", "model minus baseline, points", "95 % interval", "better"]
    lines = [
        [
            row.set,
            TITLES[row.model],
            TITLES[against.model],
            points(against.accuracy.value),
            points_interval(against.accuracy),
            is_better(against.accuracy),
        ]
        for row in rows
        for against in dict.fromkeys((row.against, row.against_svm))
        if against
    ]
    return f"{markdown_table(header, lines, left=3)}\n\n{BASELINE_NOTE}"


def ablation_table(differences: Mapping[str, Mapping[str, tuple[Interval, Interval]]]) -> str:
    """Show each variant's difference from the default, two columns per dataset."""
    header = ["variant"]
    for dataset in differences:
        header += [f"{dataset}: accuracy", "minus default, points"]
    variants = list(next(iter(differences.values())))
    lines = []
    for variant in variants:
        cells = [variant]
        for of_dataset in differences.values():
            accuracy, change = of_dataset[variant]
            shown = f"{points(change.value)} ({points_interval(change)})" if variant != variants[0] else ""
            cells += [percent(accuracy.value), shown]
        lines.append(cells)
    return markdown_table(header, lines)


def chosen_list(chosen: Mapping[str, Mapping[str, Any]]) -> str:
    """List the chosen settings, and warn where a range ended too early."""
    lines = []
    for dataset, settings in chosen.items():
        parts = [f"{TITLES[model]} {_settings(values)}" for model, values in settings.items()]
        lines.append(f"- {dataset}: {'; '.join(parts)}")
    return "\n".join(["Chosen on validation:", "", *lines])


def is_better(difference: Interval) -> str:
    """Return whether the whole interval of a difference is above 0."""
    return "yes" if difference.low > 0 else "no, worse" if difference.high < 0 else "not shown"


def percent(value: float) -> str:
    """Format a fraction in percent."""
    return f"{100 * value:.1f}"


def percent_interval(interval: Interval) -> str:
    """Format an interval in percent."""
    return f"{percent(interval.low)} to {percent(interval.high)}"


def points(value: float) -> str:
    """Format a difference in percentage points."""
    return f"{100 * value:+.1f}"


def points_interval(interval: Interval) -> str:
    """Format the interval of a difference in percentage points."""
    return f"{points(interval.low)} to {points(interval.high)}"


def _settings(values: Mapping[str, Any]) -> str:
    if "C" in values:
        return f"C = {values['C']:g}{' (AT THE END of the range)' if values['at_border'] else ''}"
    settings = values["settings"]
    characters = ", character n-grams of 3 to 6" if settings["characters"] else ""
    ends = f" (AT THE END of the range: {', '.join(values['at_border'])})" if values["at_border"] else ""
    return (
        f"word n-grams to {settings['word_ngrams']}, learning rate {settings['learning_rate']:g}, "
        f"{settings['epochs']} epochs{characters}{ends}"
    )
