"""How a search is told: a line per trial, the best of them, the note of its run."""

from collections.abc import Mapping, Sequence

from atnet.config.tune import SECTION, Value
from atnet.tuning.trials import HIGHER_IS_BETTER, Objective, TrialResult, current_trial, ranking

LISTED = 5
STATES = {"complete": "", "pruned": "given up", "failed": "failed"}


def shown_settings(settings: Mapping[str, Value], between: str = "  ") -> str:
    """Give settings in one line."""
    return between.join(f"{name.removeprefix(SECTION)} {shown(value)}" for name, value in settings.items())


def shown(value: Value) -> str:
    """Give a value as params.yaml has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def trial_line(trial: TrialResult, *, is_best: bool) -> str:
    """Give the outcome of a trial in one line."""
    marks = ", ".join(part for part in (STATES[trial.state], trial.note, "best so far" if is_best else "") if part)
    return f"trial {trial.number:>3}  {_values(trial)}  {trial.seconds:>5.0f} s  {shown_settings(trial.settings)}" + (
        f"  [{marks}]" if marks else ""
    )


def best_table(trials: Sequence[TrialResult], objective: Objective, current: Mapping[str, Value]) -> list[str]:
    """List the best trials and, if it is not among them, that of the current values."""
    best = ranking(trials, objective)
    begun = current_trial(trials, dict(current))
    rows = best[:LISTED] if begun is None or begun in best[:LISTED] else [*best[:LISTED], begun]
    head = f"{'trial':>5}  {'val. loss':>9}  {'accuracy':>8}  {'epochs':>6}"
    lines = [f"{head}  settings"]
    for trial in rows:
        mark = "  (current)" if trial is begun else ""
        lines.append(f"{trial.number:>5}  {_values(trial)}  {shown_settings(trial.settings)}{mark}")
    return lines


def comparison(trials: Sequence[TrialResult], objective: Objective, current: Mapping[str, Value]) -> str:
    """Say in one sentence how the best trial stands to the current values."""
    best, begun = ranking(trials, objective), current_trial(trials, dict(current))
    counts = {state: sum(trial.state == state for trial in trials) for state in ("complete", "pruned", "failed")}
    counted = f"{counts['complete']} complete, {counts['pruned']} given up" + (
        f", {counts['failed']} failed" if counts["failed"] else ""
    )
    name = objective.replace("_", " ")
    if not best:
        return f"no trial has ended yet ({counted})"
    value = best[0].kept[objective]
    if begun is None:
        return f"best {name} {value:.4f}, trial {best[0].number}; the current values have not been tried ({counted})"
    was = begun.kept[objective]
    if value == was:
        return f"nothing found that is better than the current values: {name} {was:.4f} ({counted})"
    way = "higher" if HIGHER_IS_BETTER[objective] else "lower"
    return (
        f"best {name} {value:.4f}, trial {best[0].number}: {abs(value - was):.4f} {way} than with the current values "
        f"({was:.4f}) ({counted})"
    )


def run_note(
    trials: Sequence[TrialResult], objective: Objective, current: Mapping[str, Value], diff: str, space: Sequence[str]
) -> str:
    """Write the Markdown note of the search's run."""
    rows = ["| trial | validation loss | accuracy | epoch kept | settings |", "|---|---|---|---|---|"]
    begun = current_trial(trials, dict(current))
    for trial in ranking(trials, objective)[:LISTED]:
        kept = trial.kept
        mark = " (current)" if trial is begun else ""
        rows.append(
            f"| {trial.number}{mark} | {kept['validation_loss']:.4f} | {kept['validation_accuracy']:.4f} | "
            f"{kept['epoch']:.0f} | {shown_settings(trial.settings, ', ')} |"
        )
    change = f"`atnet tune --trials 0 --apply` writes:\n\n```diff\n{diff}```" if diff else "The current values stay."
    return (
        f"**Search over {', '.join(name.removeprefix(SECTION) for name in space)}**: "
        f"{comparison(trials, objective, current)}.\n\n"
        + "\n".join(rows)
        + f"\n\n{change}\n\nValues are those of the validation split, which was searched on, so the best one flatters; "
        "the test split was not read."
    )


def _values(trial: TrialResult) -> str:
    if not trial.curve:
        return f"{'-':>9}  {'-':>8}  {'-':>6}"
    kept = trial.kept
    return f"{kept['validation_loss']:>9.4f}  {kept['validation_accuracy']:>8.1%}  {len(trial.curve):>6}"
