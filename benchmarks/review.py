"""What labeling a review list gives, against as many random rows: `python -m benchmarks.review`.

A model is trained on labeled rows of which 5 % have a wrong label. Unlabeled texts arrive; up to 200 of them, or of the
labeled rows, are labeled correctly: those that `atnet review` selects, or random ones of the new texts. Trained again,
the model is scored on other rows of the new texts. Two sets: the default data, where tweets arrive at a model that has
seen none; and ToLD-Br, Portuguese tweets, where more of the same arrive (ATNET_DATASETS names its folder). The model is
NB-SVM, so that many repetitions are possible. Draws docs/review-curve.svg.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from atnet.analysis.folds import make_folds
from atnet.analysis.label_issues import find_label_issues, fold_tasks, label_issue_table
from atnet.analysis.tasks import Task, TaskPredictions, linear_learner
from atnet.config import Params
from atnet.formatting import markdown_table
from atnet.monitoring.domain_classifier import cross_fit, ngram_gram_matrix
from atnet.monitoring.review_list import ISSUE_COLUMNS, ReviewCandidates, select_rows
from atnet.monitoring.row_features import hash_ngrams
from atnet.schema import GROUP, ID, LABEL, SPLIT, TEXT, TEXT_HASH, text_hash
from atnet.storage import load_params, read_json, write_json
from benchmarks.project_copy import ROOT

matplotlib.use("svg")
from matplotlib import pyplot

MODEL = "nb_svm"
ROWS = (0, 50, 100, 200)
WRONG_LABELS = 0.05
RESULTS = ROOT / ".atnet" / "benchmarks" / "review"
FIGURE = ROOT / "docs" / "review-curve.svg"
NAMES = {"default": "default data, tweets arrive", "toldbr": "ToLD-Br, more of the same"}
WAYS = {"reviewed": "#2563a8", "random": "#9aa5b1"}
SEED = 17


@dataclass(frozen=True, slots=True)
class ReviewSet:
    """One repetition: all tables have id, text, label, group and text_hash; `true` is the correct label."""

    labeled: pd.DataFrame
    """Rows with labels, some of them wrong."""
    validation: pd.DataFrame
    reference: pd.DataFrame
    """Held-out texts of the same kind as the labeled rows."""
    arriving: pd.DataFrame
    test: pd.DataFrame


def default_data(params: Params, rng: np.random.Generator) -> ReviewSet:
    """Draw from the default data: tweets arrive, the other domains are labeled."""
    source = ROOT / params.data.path
    if not source.is_file():
        raise SystemExit(f"{source} is missing. Run `dvc repro` in the project first.")
    rows = pd.read_csv(source, dtype={ID: str})
    rows = rows[rows["rating"].abs() > 0.5].drop_duplicates(TEXT)
    rows = rows.assign(**{LABEL: np.where(rows["rating"] > 0, "positive", "negative")})
    is_new = rows["domain"] == "tweets"
    return _draw(rows[~is_new], rows[is_new], rng, labeled=4000, arriving=1500)


def toldbr(params: Params, rng: np.random.Generator) -> ReviewSet:
    """Draw from ToLD-Br: all rows are of one kind."""
    source = Path(os.environ.get("ATNET_DATASETS") or "", "toldbr_pt.csv.gz")
    if not os.environ.get("ATNET_DATASETS") or not source.is_file():
        raise SystemExit(f"Set ATNET_DATASETS to the folder of {source.name}, with the columns text and label.")
    rows = pd.read_csv(source).drop_duplicates(TEXT)
    rows = rows.assign(**{ID: [f"row-{row}" for row in range(len(rows))], LABEL: rows[LABEL].astype(str)})
    in_first = rng.random(len(rows)) < 0.5
    return _draw(rows[in_first], rows[~in_first], rng, labeled=1500, arriving=4000)


SETS: Mapping[str, Callable[[Params, np.random.Generator], ReviewSet]] = {"default": default_data, "toldbr": toldbr}


def _draw(
    known: pd.DataFrame, new: pd.DataFrame, rng: np.random.Generator, *, labeled: int, arriving: int
) -> ReviewSet:
    known, new = (
        table.iloc[rng.permutation(len(table))][[ID, TEXT, LABEL]].reset_index(drop=True) for table in (known, new)
    )
    known, new = (
        table.assign(true=table[LABEL], group=table[ID], text_hash=[text_hash(text) for text in table[TEXT]])
        for table in (known, new)
    )
    train = known.iloc[:labeled].copy()
    labels = sorted(train[LABEL].unique())
    for row in np.flatnonzero(rng.random(len(train)) < WRONG_LABELS):
        train.loc[row, LABEL] = rng.choice([label for label in labels if label != train.loc[row, LABEL]])
    validation, reference = known.iloc[labeled : labeled + 600], known.iloc[labeled + 600 : labeled + 2600]
    return ReviewSet(train, validation, reference, new.iloc[:arriving], new.iloc[arriving : arriving + 2000])


def repetition(name: str, seed: int, params: Params) -> dict[str, dict[str, float]]:
    """Return the accuracy for each way of selecting and each number of rows."""
    rng = np.random.default_rng([SEED, seed])
    data = SETS[name](params, rng)
    predicted = _train_and_predict(data.labeled, data, data.arriving[TEXT].tolist(), params)
    candidates = _candidates(data, predicted)
    issues = _label_issues(data, params)
    random_order = rng.permutation(len(data.arriving))
    accuracies: dict[str, dict[str, float]] = {way: {} for way in WAYS}
    for rows in ROWS:
        reviewed = select_rows(
            candidates, issues, rows=max(rows, 1), issue_fraction=0.25, known=set(data.labeled[TEXT_HASH])
        )
        chosen = set(reviewed[TEXT_HASH]) if rows else set()
        accuracies["reviewed"][str(rows)] = _accuracy(data, chosen, params)
        drawn = set(data.arriving[TEXT_HASH].iloc[random_order[:rows]])
        accuracies["random"][str(rows)] = _accuracy(data, drawn, params)
    return accuracies


def _accuracy(data: ReviewSet, chosen: set[str], params: Params) -> float:
    """Label the chosen texts correctly, train and score."""
    corrected = data.labeled[LABEL].where(~data.labeled[TEXT_HASH].isin(chosen), data.labeled["true"])
    train = pd.concat([data.labeled.assign(label=corrected), data.arriving[data.arriving[TEXT_HASH].isin(chosen)]])
    predicted = _train_and_predict(train.reset_index(drop=True), data, data.test[TEXT].tolist(), params)
    labels = np.array(predicted.labels, dtype=object)[predicted.probabilities[0].argmax(axis=1)]
    return float((labels == data.test["true"].to_numpy()).mean())


def _train_and_predict(train: pd.DataFrame, data: ReviewSet, texts: list[str], params: Params) -> TaskPredictions:
    learner = linear_learner(MODEL, params.baseline.model_copy(update={"regularization": [0.3, 1.0]}))
    return next(learner([Task(train, data.validation, texts)]))


def _candidates(data: ReviewSet, predicted: TaskPredictions) -> ReviewCandidates:
    ngrams = hash_ngrams([*data.arriving[TEXT], *data.reference[TEXT]])
    in_window = np.arange(ngrams.shape[0]) < len(data.arriving)
    fitted = next(cross_fit(ngram_gram_matrix(ngrams), in_window[None], seed=SEED))
    labels = np.array(predicted.labels, dtype=object)
    table = data.arriving[[TEXT, TEXT_HASH]].reset_index(drop=True)
    return ReviewCandidates(
        table=table.assign(predicted=labels[predicted.probabilities[0].argmax(axis=1)], source="window"),
        probabilities=predicted.probabilities[0],
        drift_scores=fitted.scores[: len(data.arriving)],
        challenger=None,
    )


def _label_issues(data: ReviewSet, params: Params) -> pd.DataFrame:
    table = data.labeled.assign(**{SPLIT: "train"})
    folds = make_folds(table, params.analyze.folds, seed=params.analyze.seed)
    learner = linear_learner(MODEL, params.baseline.model_copy(update={"regularization": [1.0]}))
    issues = find_label_issues(table, folds, list(learner(fold_tasks(folds, table))))
    listed = label_issue_table(table.drop(columns=["true", GROUP]), issues)
    return listed.assign(**{TEXT_HASH: [text_hash(text) for text in listed[TEXT]]})[list(ISSUE_COLUMNS)]


def collect(name: str, repetitions: int, params: Params) -> list[dict[str, dict[str, float]]]:
    """Run the repetitions of a set; finished ones are read from their files."""
    results = []
    for seed in range(repetitions):
        path = RESULTS / f"{name}-{seed}.json"
        if not path.is_file():
            write_json(path, repetition(name, seed, params))
            print(f"{name}, repetition {seed} done", flush=True)
        results.append(read_json(path))
    return results


def review_table(results: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> str:
    """Write mean accuracies and the paired difference with its interval over the repetitions."""
    rows = []
    for name, repetitions in results.items():
        for count in map(str, ROWS):
            reviewed, random = (np.array([100 * entry[way][count] for entry in repetitions]) for way in WAYS)
            mean, error = (reviewed - random).mean(), _standard_error(reviewed - random)
            rows.append(
                [
                    NAMES[name],
                    count,
                    f"{reviewed.mean():.1f} %",
                    f"{random.mean():.1f} %",
                    f"{mean:+.1f} ({mean - 2 * error:+.1f} to {mean + 2 * error:+.1f})",
                ]
            )
    return markdown_table(["set", "labeled rows", "reviewed", "random", "difference (points)"], rows)


def draw_curves(results: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> Path:
    """Draw the accuracy over the number of labeled rows, with two standard errors."""
    with matplotlib.rc_context({"svg.hashsalt": "review", "svg.fonttype": "none", "font.size": 10}):
        figure, panels = pyplot.subplots(1, len(results), figsize=(4.4 * len(results), 3.6), layout="constrained")
        for axes, (name, repetitions) in zip(np.atleast_1d(panels), results.items(), strict=True):
            for way, color in WAYS.items():
                values = np.array([[100 * entry[way][str(rows)] for rows in ROWS] for entry in repetitions])
                errors = 2 * np.array([_standard_error(column) for column in values.T])
                axes.errorbar(ROWS, values.mean(axis=0), yerr=errors, marker="o", capsize=4, color=color, label=way)
            axes.set(title=NAMES[name], xlabel="labeled rows", ylabel="accuracy (%)")
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        figure.savefig(FIGURE, metadata={"Date": None})
        pyplot.close(figure)
    return FIGURE


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run every repetition, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    arguments = parser.parse_args(argv)
    params = load_params(ROOT / "params.yaml")
    results = {name: collect(name, arguments.repetitions, params) for name in arguments.sets}
    print(review_table(results))
    print(f"Drawn: {draw_curves(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
