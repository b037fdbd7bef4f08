"""The results as Markdown tables, with what must be known to read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from atnet.evaluation.bootstrap import Interval
from benchmarks.accuracy.figures import Row
from benchmarks.accuracy.models import TITLES
from benchmarks.measure import table

NOTE = """\
Accuracy and macro-F1 in percent, means over the seeds, with 95 % intervals over texts and seeds (2,000 resamples).
ECE: expected calibration error in 15 bins; AtNet's probabilities after temperature scaling, the baselines' as they
are. Seconds: one training with the chosen settings, one thread, without the search for them; AtNet's include the
export and its check. Parameters: all numbers of the model, fixed ratios included. The linear models have no chance in
them and are fitted once."""
OPTIMISM = """\
Validation is where C, fastText's settings, AtNet's best epoch and its temperature were chosen, so these figures are
slightly too good for all models alike."""
TEST_NOTE = "Everything was chosen on validation. Each look at a test split is a line of the ledger."
BEST_NOTE = "Paired over the texts. The best baseline is the one with the highest accuracy in the table above."


def sets_table(described: Mapping[str, Mapping[str, Any]]) -> str:
    """Describe the sets by the reports of their split stage."""
    header = ["set", "labels", "train", "validation", "test", "left out of validation", "left out of test"]
    rows = []
    for name, report in described.items():
        sizes = [f"{report['splits'][side]['rows']:,}" for side in ("train", "validation", "test")]
        left_out = [f"{report['excluded'][side]['rows']:,}" for side in ("validation", "test")]
        rows.append([name, str(len(report["labels"]["overall_share"])), *sizes, *left_out])
    return f"{table(header, rows)}\n\nLeft out: texts that also stand in train, word for word or nearly."


def models_table(rows: Sequence[Row]) -> str:
    """Show every model on every set."""
    header = ["set", "model", "accuracy", "interval", "macro-F1", "interval", "ECE", "seconds", "parameters", "seeds"]
    lines = [
        [
            row.set,
            TITLES.get(row.model, row.model),
            percent(row.accuracy.value),
            span(row.accuracy),
            percent(row.macro_f1.value),
            span(row.macro_f1),
            f"{row.calibration_error:.3f}",
            f"{row.seconds:,.1f}",
            f"{row.parameters:,}",
            str(len(row.seeds)),
        ]
        for row in rows
    ]
    return table(header, lines, left=2)


def against_table(rows: Sequence[Row]) -> str:
    """Show AtNet by default minus the best baseline of each set."""
    header = ["set", "best baseline", "AtNet minus it, points", "95 % interval", "above 0"]
    lines = [
        [
            row.set,
            TITLES[row.against.model],
            signed(row.against.accuracy.value),
            signed_span(row.against.accuracy),
            verdict(row.against.accuracy),
        ]
        for row in rows
        if row.against
    ]
    return f"{table(header, lines, left=2)}\n\n{BEST_NOTE}"


def ablation_table(found: Mapping[str, Mapping[str, tuple[Interval, Interval]]]) -> str:
    """Show each variant's difference from the default, a pair of columns for each set."""
    header = ["variant", *(cell for name in found for cell in (f"{name}: accuracy", "minus default, points"))]
    variants = list(next(iter(found.values())))
    lines = []
    for variant in variants:
        cells = [variant]
        for of_set in found.values():
            accuracy, change = of_set[variant]
            shown = f"{signed(change.value)} ({signed_span(change)})" if variant != variants[0] else ""
            cells += [percent(accuracy.value), shown]
        lines.append(cells)
    return table(header, lines)


def chosen_list(chosen: Mapping[str, Mapping[str, Any]]) -> str:
    """List what the searches chose, and warn where a range ended too early."""
    lines = []
    for name, facts in chosen.items():
        parts = [f"{TITLES[model]} {_settings(found)}" for model, found in facts.items()]
        lines.append(f"- {name}: {'; '.join(parts)}")
    return "\n".join(["Chosen on validation:", "", *lines])


def verdict(found: Interval) -> str:
    """Say whether a difference lies above 0, below it, or on neither side for certain."""
    return "yes" if found.low > 0 else "no, below" if found.high < 0 else "not shown"


def percent(value: float) -> str:
    """Show a share in percent."""
    return f"{100 * value:.1f}"


def span(found: Interval) -> str:
    """Show an interval in percent."""
    return f"{percent(found.low)} to {percent(found.high)}"


def signed(value: float) -> str:
    """Show a difference in points."""
    return f"{100 * value:+.1f}"


def signed_span(found: Interval) -> str:
    """Show the interval of a difference in points."""
    return f"{signed(found.low)} to {signed(found.high)}"


def _settings(found: Mapping[str, Any]) -> str:
    if "C" in found:
        return f"C = {found['C']:g}{' (AT THE END of the range)' if found['at_border'] else ''}"
    settings = found["settings"]
    characters = ", characters 3 to 6" if settings["characters"] else ""
    ends = f" (AT THE END of the range: {', '.join(found['at_border'])})" if found["at_border"] else ""
    return (
        f"word n-grams to {settings['word_ngrams']}, rate {settings['learning_rate']:g}, {settings['epochs']} epochs"
        f"{characters}{ends}"
    )
