"""The two analyses from files to files; what the commands `atnet analyze …` call."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from atnet.analysis.folds import make_folds
from atnet.analysis.label_issue_page import label_issue_page
from atnet.analysis.label_issues import (
    LabelIssues,
    find_label_issues,
    fold_tasks,
    label_issue_counts,
    label_issue_table,
)
from atnet.analysis.learning_curve import LearningCurve, curve_table, curve_tasks, learning_curve
from atnet.analysis.learning_curve_page import learning_curve_page
from atnet.analysis.rating_agreement import RatingAgreement, compare_with_ratings
from atnet.analysis.subprocess_learner import network_learner
from atnet.analysis.tasks import MODELS, NETWORK, Learner, Task, TaskPredictions, linear_learner
from atnet.config import Params, SplitName
from atnet.errors import ConfigurationError, DataFileError
from atnet.file_system import require_writable_folder
from atnet.files import split_table
from atnet.report.sentences import display_name
from atnet.schema import LABEL, RATING, SPLIT, labeled_rows
from atnet.storage import read_table, write_csv, write_json, write_text

LEARNING_CURVE, LABEL_ISSUES = "learning_curve", "label_issues"
"""File names, without the suffix."""
logger = logging.getLogger(__name__)


def make_learner(name: str, params: Params, seeds: int = 1) -> Learner:
    """Return the learner of this name; `seeds` trainings of AtNet, the first with the seed of section `train`.

    Raises:
        ConfigurationError: if there is no such model.
    """
    if name not in MODELS:
        raise ConfigurationError(f"There is no model {name!r}. Choose one of: {', '.join(MODELS)}.")
    if name == NETWORK:
        return network_learner(params, range(params.train.seed, params.train.seed + seeds))
    return linear_learner(name, params.baseline)


def analyze_learning_curve(params: Params, folder: Path, models: Sequence[str], seeds: int) -> list[LearningCurve]:
    """Train on growing fractions of the texts and write learning_curve.json, .csv and .html."""
    require_writable_folder(folder)
    learners = {name: make_learner(name, params, seeds) for name in models}
    train, validation = (read_split(name) for name in ("train", "validation"))
    tasks = curve_tasks(train, validation, params.analyze)
    curves = []
    for name, learner in learners.items():
        predictions = _run_tasks(name, learner, tasks)
        curves.append(learning_curve(name, tasks, predictions, validation[LABEL].tolist(), params.analyze))
    write_json(folder / f"{LEARNING_CURVE}.json", [asdict(curve) for curve in curves])
    write_csv(folder / f"{LEARNING_CURVE}.csv", curve_table(curves))
    write_text(folder / f"{LEARNING_CURVE}.html", learning_curve_page(curves, len(validation), params.analyze))
    return curves


def analyze_labels(params: Params, folder: Path, model: str) -> tuple[LabelIssues, RatingAgreement | None]:
    """Find label issues in train and validation and write label_issues.json, .csv and .html."""
    require_writable_folder(folder)
    learner, config = make_learner(model, params), params.analyze
    table = pd.concat([read_split(name).assign(**{SPLIT: name}) for name in ("train", "validation")])
    table = table.reset_index(drop=True)
    folds = make_folds(table, config.folds, seed=config.seed)
    issues = find_label_issues(table, folds, _run_tasks(model, learner, fold_tasks(folds, table)))
    has_ratings = RATING in table and table[RATING].notna().any()
    agreement = compare_with_ratings(table[RATING].to_numpy(float), issues, config) if has_ratings else None
    summary = {
        "model": model,
        "folds": len(folds),
        "rows": len(table),
        "mispredicted": int(issues.mispredicted.sum()),
        "label_issues": len(issues.issues),
        "labels": label_issue_counts(issues),
        "rating_agreement": asdict(agreement) if agreement else None,
    }
    listed = label_issue_table(table, issues)
    write_json(folder / f"{LABEL_ISSUES}.json", summary)
    write_csv(folder / f"{LABEL_ISSUES}.csv", listed)
    write_text(folder / f"{LABEL_ISSUES}.html", label_issue_page(listed, summary, agreement))
    return issues, agreement


def read_split(name: SplitName) -> pd.DataFrame:
    """Read the rows of a split of the pipeline that have a label of their own; a teacher is not used.

    Raises:
        DataFileError: if the pipeline has not written it yet.
    """
    path = split_table(name)
    if not path.exists():
        raise DataFileError(f"{path} is missing: there is no data to analyze yet. Run `make pipeline` first.")
    return labeled_rows(read_table(path))


def _run_tasks(model: str, learner: Learner, tasks: Sequence[Task]) -> list[TaskPredictions]:
    name, predictions = display_name(model), []
    logger.info("%s: %d trainings", name, len(tasks))
    for number, predicted in enumerate(learner(tasks), start=1):
        predictions.append(predicted)
        logger.info("%s: %d of %d, trained on %s texts", name, number, len(tasks), f"{len(tasks[number - 1].train):,}")
    return predictions
