"""The checks that compare the challenger with the champion, as functions of measured numbers."""

from atnet.config import ReleaseConfig
from atnet.release.gate.measurements import ChampionMeasurements, LabelChange
from atnet.release.gate.result import CheckResult, check_status, skipped
from atnet.release.gate.significance import PairedComparison, holm

NAMED_SLICES = 5
"""Slices named in a reason; the rest are counted."""


def champion_checks(measured: ChampionMeasurements | None, config: ReleaseConfig) -> list[CheckResult]:
    """Compare with the champion: labels, rows, macro-F1, McNemar's test and slices."""
    names = ("champion", "McNemar", "slices")
    if measured is None:
        reason = "There is no champion yet: the minimum scores, the baseline and the other checks decide."
        return [skipped(name, "a champion", reason) for name in names]
    labels = label_check(measured.labels, config)
    if labels.status == "failed":
        reason = "The labels differ, so nothing was compared."
        return [labels, *(skipped(name, "the same labels", reason) for name in names)]
    rows = row_check(measured, config)
    if measured.comparison is None:
        return [labels, rows, *(skipped(name, "enough rows", "Too few rows to compare.") for name in names)]
    return [
        labels,
        rows,
        superiority_check(measured.comparison, config),
        mcnemar_check(measured.comparison, config),
        slice_check(measured, config),
    ]


def label_check(labels: LabelChange, config: ReleaseConfig) -> CheckResult:
    """Require the champion's labels, or at least two in common if a change is allowed."""
    required = "at least two labels in common" if config.allow_label_change else "the champion's labels"
    if not labels.added and not labels.removed:
        return CheckResult("labels", "passed", f"{len(labels.common)} labels, the same", required, "The labels agree.")
    changes = "; ".join(
        f"{what}: {', '.join(names)}" for what, names in (("new", labels.added), ("removed", labels.removed)) if names
    )
    observed = f"{len(labels.common)} labels in common; {changes}"
    if not config.allow_label_change:
        reason = f"The labels changed ({changes}). If that is intended, set release.allow_label_change to true."
        return CheckResult("labels", "failed", observed, required, reason)
    if len(labels.common) < 2:
        reason = "Fewer than two labels in common: nothing can be compared."
        return CheckResult("labels", "failed", observed, required, reason)
    reason = (
        f"The labels changed ({changes}). Both models were compared over the common labels {', '.join(labels.common)} "
        f"only; {labels.other_label_rows:,} rows with other labels were excluded."
    )
    return CheckResult("labels", "warning", observed, required, reason)


def row_check(measured: ChampionMeasurements, config: ReleaseConfig) -> CheckResult:
    """Require enough test rows that the champion was not trained on."""
    enough = measured.rows >= config.min_compared_rows
    total = measured.rows + measured.trained_on + measured.labels.other_label_rows
    advice = (
        ""
        if enough
        else f" Only {measured.rows:,} are left: give the test split more rows, or lower release.min_compared_rows."
    )
    return CheckResult(
        "rows",
        check_status(enough),
        f"{measured.rows:,} compared, {measured.trained_on:,} excluded",
        f"at least {config.min_compared_rows:,} that the champion was not trained on",
        f"{measured.trained_on:,} of {total:,} test rows were excluded for both models, because the champion was "
        f"trained on their texts.{advice}",
    )


def superiority_check(comparison: PairedComparison, config: ReleaseConfig) -> CheckResult:
    """Require a macro-F1 above the champion's (superiority) or within the margin (non_inferiority)."""
    superiority = config.rule == "superiority"
    bound = 0.0 if superiority else -config.non_inferiority_margin
    passed = comparison.low > bound
    wanted = "better than" if superiority else f"within {config.non_inferiority_margin:g} of"
    return CheckResult(
        "champion",
        check_status(passed),
        f"{macro_f1_pair(comparison)}: {delta_with_bound(comparison)}",
        f"lower bound ({config.confidence:.0%}, one-sided) above {bound:+z.4f}",
        f"On {comparison.rows:,} rows the challenger is {'' if passed else 'not '}shown to be {wanted} the champion: "
        f"the difference is {comparison.delta:+z.4f} and could be as low as {comparison.low:+z.4f}.",
    )


def mcnemar_check(comparison: PairedComparison, config: ReleaseConfig) -> CheckResult:
    """Warn if the challenger is right on significantly fewer rows (McNemar's exact test)."""
    passed = comparison.p_worse > 1 - config.confidence
    return CheckResult(
        "McNemar",
        check_status(passed, "warning"),
        f"only the challenger is right on {comparison.only_first_right:,} rows, only the champion on "
        f"{comparison.only_second_right:,}; exact p = {comparison.p_value:.4f}",
        "for information only",
        "The exact test does not find the challenger significantly less accurate."
        if passed
        else f"The challenger is right on significantly fewer rows (one-sided p = {comparison.p_worse:.4f}).",
    )


def slice_check(measured: ChampionMeasurements, config: ReleaseConfig) -> CheckResult:
    """Require that the challenger is not significantly worse on any slice (Holm's correction over the slices)."""
    level, slices = 1 - config.confidence, {part.name: part for part in measured.slices}
    required = f"none significantly worse, at level {level:.2g} over all slices (Holm)"
    if not slices:
        return skipped("slices", required, f"No slice has {config.slices.min_slice_rows} rows.")
    worse = holm({name: part.p_worse for name, part in slices.items()}, level)
    named = [
        f"{name} ({slices[name].wins - slices[name].losses:+d} right of {slices[name].rows:,}, "
        f"adjusted p = {p_value:.4f})"
        for name, p_value in worse.items()
    ]
    more = f" and {len(named) - NAMED_SLICES} more" if len(named) > NAMED_SLICES else ""
    return CheckResult(
        "slices",
        check_status(not worse, config.slices.severity),
        f"{len(worse)} of {len(slices)} slices worse; {measured.small_slices} too small to test",
        required,
        f"Significantly worse than the champion on {'; '.join(named[:NAMED_SLICES])}{more}."
        if worse
        else "The challenger is not significantly worse than the champion on any slice.",
    )


def macro_f1_pair(comparison: PairedComparison) -> str:
    """Return both macro-F1 values for a check's observation."""
    return f"macro-F1 {comparison.first:.4f} against {comparison.second:.4f}"


def delta_with_bound(comparison: PairedComparison) -> str:
    """Return the difference and its lower bound for a check's observation."""
    return f"{comparison.delta:+z.4f}, lower bound {comparison.low:+z.4f}"
