"""The two analyses from files to files; what the commands `atnet analyse …` call."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from atnet.analysis.curve import Curve, curve_table, curve_tasks, learning_curve
from atnet.analysis.doubt import Doubt, compare_with_ratings
from atnet.analysis.networks import network_learner
from atnet.analysis.pages import curve_page, model_name, suspect_page
from atnet.analysis.subsets import make_folds
from atnet.analysis.suspects import Suspects, find_suspects, fold_tasks, suspect_counts, suspect_table
from atnet.analysis.tasks import MODELS, NETWORK, Answers, Learner, Task, linear_learner
from atnet.config import Params, SplitName
from atnet.errors import ConfigurationError, DataFileError
from atnet.storage import read_table, write_json, write_text
from atnet.table import LABEL, RATING, SPLIT

Tell = Callable[[str], None]


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


def analyse_learning_curve(
    params: Params, folder: Path, models: Sequence[str], seeds: int, *, tell: Tell
) -> list[Curve]:
    """Train on growing shares and write learning_curve.json, .csv and .html."""
    learners = {name: learner(name, params, seeds) for name in models}
    train, validation = (read_split(params, name) for name in ("train", "validation"))
    tasks = curve_tasks(train, validation, params.analyse)
    curves = []
    for name, learn in learners.items():
        answers = _learned(name, learn, tasks, tell)
        curves.append(learning_curve(name, tasks, answers, validation[LABEL].tolist(), params.analyse))
    write_json(folder / "learning_curve.json", [asdict(curve) for curve in curves])
    write_text(folder / "learning_curve.csv", curve_table(curves).to_csv(index=False, lineterminator="\n"))
    write_text(folder / "learning_curve.html", curve_page(curves, len(validation), params.analyse))
    return curves


def analyse_labels(params: Params, folder: Path, model: str, *, tell: Tell) -> tuple[Suspects, Doubt | None]:
    """Judge the labels of train and validation out of fold and write labels.json, .csv and .html."""
    learn, config = learner(model, params), params.analyse
    table = pd.concat([read_split(params, name).assign(**{SPLIT: name}) for name in ("train", "validation")])
    table = table.reset_index(drop=True)
    folds = make_folds(table, config.folds, seed=config.seed)
    answers = _learned(model, learn, fold_tasks(folds, table), tell)
    found = find_suspects(table, folds, answers)
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
        "labels": suspect_counts(found),
    }
    listed = suspect_table(table, found)
    write_json(folder / "labels.json", {**summary, "ratings": asdict(doubt) if doubt else None})
    write_text(folder / "labels.csv", listed.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "labels.html", suspect_page(listed, summary, doubt, config))
    return found, doubt


def read_split(params: Params, name: SplitName) -> pd.DataFrame:
    """Read a split that the pipeline has made.

    Raises:
        DataFileError: if there is none yet.
    """
    path = Path(params.folders.splits) / f"{name}.parquet"
    if not path.exists():
        raise DataFileError(f"{path} is not here: there is no data to analyse yet. Run `make pipeline` first.")
    return read_table(path)


def _learned(name: str, learn: Learner, tasks: Sequence[Task], tell: Tell) -> list[Answers]:
    answers = []
    tell(f"{model_name(name)} learns {len(tasks)} times from the start")
    for number, answered in enumerate(learn(tasks), start=1):
        answers.append(answered)
        tell(f"{model_name(name)}, {number} of {len(tasks)}: learned from {len(tasks[number - 1].train):,} texts")
    return answers
