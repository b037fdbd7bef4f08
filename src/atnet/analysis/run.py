"""The two analyses from files to files; what the commands `atnet analyze …` call."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from atnet.analysis.folds import make_folds
from atnet.analysis.label_issues import (
    LabelIssues,
    find_label_issues,
    fold_tasks,
    label_issue_counts,
    label_issue_table,
)
from atnet.analysis.learning_curve import Curve, curve_table, curve_tasks, learning_curve
from atnet.analysis.pages import curve_page, label_issue_page, model_name
from atnet.analysis.rating_agreement import RatingAgreement, compare_with_ratings
from atnet.analysis.subprocess_learner import network_learner
from atnet.analysis.tasks import MODELS, NETWORK, Learner, LearnerPredictions, Task, linear_learner
from atnet.config import Params, SplitName
from atnet.errors import ConfigurationError, DataFileError
from atnet.files import split_table
from atnet.schema import LABEL, RATING, SPLIT
from atnet.storage import read_table, write_json, write_text

Log = Callable[[str], None]


def learner(name: str, params: Params, seeds: int = 1) -> Learner:
    """Give the learner of this name; `seeds` trainings of AtNet, the first with the seed of `train`.

    Raises:
        ConfigurationError: if there is no such model.
    """
    if name not in MODELS:
        raise ConfigurationError(f"There is no model {name!r}. Choose from: {', '.join(MODELS)}.")
    if name == NETWORK:
        return network_learner(params, range(params.train.seed, params.train.seed + seeds))
    return linear_learner(name, params.baseline)


def analyze_learning_curve(
    params: Params, folder: Path, models: Sequence[str], seeds: int, *, tell: Log
) -> list[Curve]:
    """Train on growing shares and write learning_curve.json, .csv and .html."""
    learners = {name: learner(name, params, seeds) for name in models}
    train, validation = (read_split(params, name) for name in ("train", "validation"))
    tasks = curve_tasks(train, validation, params.analyze)
    curves = []
    for name, learn in learners.items():
        answers = _learned(name, learn, tasks, tell)
        curves.append(learning_curve(name, tasks, answers, validation[LABEL].tolist(), params.analyze))
    write_json(folder / "learning_curve.json", [asdict(curve) for curve in curves])
    write_text(folder / "learning_curve.csv", curve_table(curves).to_csv(index=False, lineterminator="\n"))
    write_text(folder / "learning_curve.html", curve_page(curves, len(validation), params.analyze))
    return curves


def analyze_labels(
    params: Params, folder: Path, model: str, *, tell: Log
) -> tuple[LabelIssues, RatingAgreement | None]:
    """Judge the labels of train and validation out of fold and write labels.json, .csv and .html."""
    learn, config = learner(model, params), params.analyze
    table = pd.concat([read_split(params, name).assign(**{SPLIT: name}) for name in ("train", "validation")])
    table = table.reset_index(drop=True)
    folds = make_folds(table, config.folds, seed=config.seed)
    answers = _learned(model, learn, fold_tasks(folds, table), tell)
    found = find_label_issues(table, folds, answers)
    doubt = None
    if RATING in table and table[RATING].notna().any():
        ratings = table[RATING].to_numpy(float)
        doubt = compare_with_ratings(ratings, found.flagged, found.wrong, found.quality, config)
    summary = {
        "model": model,
        "folds": len(folds),
        "rows": len(table),
        "wrong": int(found.wrong.sum()),
        "flagged": len(found.flagged),
        "labels": label_issue_counts(found),
    }
    listed = label_issue_table(table, found)
    write_json(folder / "labels.json", {**summary, "ratings": asdict(doubt) if doubt else None})
    write_text(folder / "labels.csv", listed.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "labels.html", label_issue_page(listed, summary, doubt, config))
    return found, doubt


def read_split(params: Params, name: SplitName) -> pd.DataFrame:
    """Read a split that the pipeline has made.

    Raises:
        DataFileError: if there is none yet.
    """
    path = split_table(name)
    if not path.exists():
        raise DataFileError(f"{path} is not here: there is no data to analyze yet. Run `make pipeline` first.")
    return read_table(path)


def _learned(name: str, learn: Learner, tasks: Sequence[Task], tell: Log) -> list[LearnerPredictions]:
    answers = []
    tell(f"{model_name(name)} learns {len(tasks)} times from the start")
    for number, answered in enumerate(learn(tasks), start=1):
        answers.append(answered)
        tell(f"{model_name(name)}, {number} of {len(tasks)}: learned from {len(tasks[number - 1].train):,} texts")
    return answers
