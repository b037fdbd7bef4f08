"""Trials as text: a line per trial, the table of the best ones, and the note of the search's run."""

from collections.abc import Mapping, Sequence

import pandas as pd

from atnet.config.tune import SECTION, ParamValue
from atnet.formatting import code_block, markdown_table, markdown_text
from atnet.tuning.trials import HIGHER_IS_BETTER, Objective, TrialResult, current_trial, ranking

BEST_TRIALS = 5


def format_settings(settings: Mapping[str, ParamValue], separator: str = "  ") -> str:
    """Write settings on one line."""
    return separator.join(f"{name.removeprefix(SECTION)} {format_value(value)}" for name, value in settings.items())


def format_value(value: ParamValue) -> str:
    """Write a value as in params.yaml."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def trial_line(trial: TrialResult, *, is_best: bool) -> str:
    """Write the result of a trial on one line."""
    status = "" if trial.status == "complete" else trial.status
    remarks = ", ".join(part for part in (status, trial.note, "best so far" if is_best else "") if part)
    line = f"trial {trial.number:>3}  {_metrics(trial)}  {trial.seconds:>5.0f} s  {format_settings(trial.settings)}"
    return f"{line}  [{remarks}]" if remarks else line


def best_trials_table(
    trials: Sequence[TrialResult], objective: Objective, current: Mapping[str, ParamValue]
) -> list[str]:
    """List the best trials and, if it is not among them, that of the current values."""
    best = ranking(trials, objective)[:BEST_TRIALS]
    reference = current_trial(trials, dict(current))
    lines = [f"{'trial':>5}  {'val. loss':>9}  {'accuracy':>8}  {'epochs':>6}  settings"]
    for trial in best if reference is None or reference in best else [*best, reference]:
        remark = "  (current)" if trial is reference else ""
        lines.append(f"{trial.number:>5}  {_metrics(trial)}  {format_settings(trial.settings)}{remark}")
    return lines


def trials_frame(trials: Sequence[TrialResult], names: Sequence[str]) -> pd.DataFrame:
    """Tabulate all trials, a row each, with these settings as columns."""
    rows = []
    for trial in trials:
        best: Mapping[str, float] = trial.best_epoch if trial.history else {}
        metrics = (best.get("validation_loss"), best.get("validation_accuracy"), len(trial.history), trial.seconds)
        rows.append((trial.number, trial.status, *metrics, *(trial.settings[name] for name in names)))
    columns = ["trial", "status", "validation_loss", "validation_accuracy", "epochs", "seconds", *names]
    # Objects: as a float column, whole numbers in a column with nulls would become 8.0.
    return pd.DataFrame(rows, columns=columns, dtype=object)


def summarize_trials(trials: Sequence[TrialResult], objective: Objective, current: Mapping[str, ParamValue]) -> str:
    """Compare the best trial with the current values in one sentence."""
    best, reference = ranking(trials, objective), current_trial(trials, dict(current))
    counts = _status_counts(trials)
    name = objective.replace("_", " ")
    if not best:
        return f"no trial has completed yet ({counts})"
    value = best[0].best_epoch[objective]
    if reference is None:
        return f"best {name} {value:.4f}, trial {best[0].number}; the current values have not been tried ({counts})"
    before = reference.best_epoch[objective]
    if value == before:
        return f"no trial is better than the current values: {name} {before:.4f} ({counts})"
    direction = "higher" if HIGHER_IS_BETTER[objective] else "lower"
    return (
        f"best {name} {value:.4f}, trial {best[0].number}: {abs(value - before):.4f} {direction} than with the "
        f"current values ({before:.4f}) ({counts})"
    )


def search_note(
    trials: Sequence[TrialResult],
    objective: Objective,
    current: Mapping[str, ParamValue],
    diff: str,
    space: Sequence[str],
) -> str:
    """Write the Markdown note of the search's run."""
    reference = current_trial(trials, dict(current))
    rows = [
        [
            f"{trial.number}{' (current)' if trial is reference else ''}",
            f"{trial.best_epoch['validation_loss']:.4f}",
            f"{trial.best_epoch['validation_accuracy']:.4f}",
            f"{trial.best_epoch['epoch']:.0f}",
            markdown_text(format_settings(trial.settings, ", ")),
        ]
        for trial in ranking(trials, objective)[:BEST_TRIALS]
    ]
    change = (
        f"`atnet tune --trials 0 --apply` changes:\n\n{code_block(diff, 'diff')}"
        if diff
        else "`params.yaml` keeps the current values."
    )
    names = markdown_text(", ".join(name.removeprefix(SECTION) for name in space))
    return "\n\n".join(
        [
            f"**Search over {names}**: {summarize_trials(trials, objective, current)}.",
            markdown_table(["trial", "validation loss", "accuracy", "best epoch", "settings"], rows),
            change,
            "These values are from the validation split, which the search optimized, so the best one is somewhat "
            "optimistic. The test split was not read.",
        ]
    )


def _status_counts(trials: Sequence[TrialResult]) -> str:
    counts = {status: sum(trial.status == status for trial in trials) for status in ("complete", "pruned", "failed")}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count or status != "failed")


def _metrics(trial: TrialResult) -> str:
    if not trial.history:
        return f"{'-':>9}  {'-':>8}  {'-':>6}"
    best = trial.best_epoch
    return f"{best['validation_loss']:>9.4f}  {best['validation_accuracy']:>8.1%}  {len(trial.history):>6}"
