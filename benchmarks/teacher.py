"""What a teacher's labels are worth: `python -m benchmarks.teacher`.

Simulated on the training rows of the default data, of which a student sees few labels. The teacher is the linear SVM,
trained on all of them: cross-fitted, so that it never scores a row that it was trained on. The students are AtNet on
the labeled rows alone, on these and the teacher's probabilities for every row, and on all labels. They stop and are
calibrated on a few validation rows, and are scored on the other validation rows, or with --test on the test split.
Ratings are not used. Finished trainings are kept under .atnet/benchmarks/teacher, so an interrupted run continues.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.analysis.folds import make_folds
from atnet.analysis.label_issues import fold_tasks
from atnet.analysis.tasks import Task, linear_learner
from atnet.baselines.baselines import LINEAR_SVM
from atnet.config import Params
from atnet.environment import prepare_process
from atnet.errors import AtnetError
from atnet.evaluation.bootstrap import Interval
from atnet.formatting import markdown_table
from atnet.schema import HARD_LABEL, LABEL, RATING, TEXT, TEXT_HASH, teacher_column
from atnet.storage import load_params, whole_file
from benchmarks.accuracy.scores import ModelScores, accuracy_difference, score_models
from benchmarks.learning_curve.cells import SplitData, prepare
from benchmarks.learning_curve.models import Setting, fit_atnet
from benchmarks.measure import machine, versions
from benchmarks.project_copy import ROOT

FOLDER = ROOT / ".atnet" / "benchmarks" / "teacher"
FOLDS = 5
VALIDATION_SHARE = 0.25
"""Validation rows of a student, as a share of its labels: who has few labels has few of both."""
FEW, TAUGHT, ALL, TEACHER = "labels alone", "labels and teacher", "all labels", "teacher"


@dataclass(frozen=True, slots=True)
class Student:
    """A model that is trained."""

    rows: str
    """Which rows it learns from: FEW, TAUGHT or ALL."""
    weight: float | None = None
    """Its `train.teacher_weight`; None without a teacher."""
    temperature: float | None = None
    """Its `train.teacher_temperature`."""

    @property
    def name(self) -> str:
        """Name it, for its file."""
        settings = "" if self.weight is None else f" {self.weight:g} {self.temperature:g}"
        return f"{self.rows}{settings}".replace(" ", "-")

    def config(self, params: Params) -> Params:
        """Return the parameters it is trained with."""
        if self.weight is None:
            return params
        update = {"teacher_weight": self.weight, "teacher_temperature": self.temperature}
        return params.model_copy(update={"train": params.train.model_copy(update=update)})


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything that determines a result."""

    params: Params
    train: pd.DataFrame
    """With the teacher's probabilities."""
    validation: pd.DataFrame
    scored: pd.DataFrame
    labels: list[str]
    labeled_rows: int
    folder: Path

    def probabilities(self, student: Student, seed: int) -> np.ndarray:
        """Train a student, unless that has been done, and return its probabilities (N, C) of the scored rows."""
        path = self.folder / f"{student.name}-{seed}.npz"
        if not path.is_file():
            started = time.perf_counter()
            task = Task(self._rows(student.rows, seed), self.validation, self.scored[TEXT].tolist())
            cache = self.folder / student.name
            predictions = fit_atnet(task, Setting(student.config(self.params), self.params.train.seed + seed, cache))
            _save(path, predictions.aligned_to(self.labels)[0])
            print(f"{student.name}, seed {seed}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        return _load(path)

    def _rows(self, rows: str, seed: int) -> pd.DataFrame:
        columns = [HARD_LABEL, *map(teacher_column, self.labels)]
        if rows == ALL:
            return self.train.drop(columns=columns)
        drawn = np.random.default_rng([self.params.train.seed, seed]).permutation(len(self.train))[: self.labeled_rows]
        if rows == FEW:
            return self.train.iloc[np.sort(drawn)].drop(columns=columns).reset_index(drop=True)
        is_hard = np.isin(np.arange(len(self.train)), drawn)
        probability_NC = self.train[columns[1:]].to_numpy()
        guessed = np.array(self.labels, dtype=object)[probability_NC.argmax(axis=1)]
        return self.train.assign(
            **{LABEL: pd.Series(np.where(is_hard, self.train[LABEL], guessed), dtype="str"), HARD_LABEL: is_hard}
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing and print the table; return 0, or 1 after an error message."""
    prepare_process()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teacher", description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000, help="labeled rows of the students; default: 1000")
    parser.add_argument("--pool", type=int, help="rows that the teacher labels in all; default: all training rows")
    parser.add_argument("--seeds", type=int, default=3, help="default: 3")
    parser.add_argument("--weight", type=float, nargs="+", help="train.teacher_weight; default: that of params.yaml")
    parser.add_argument(
        "--temperature", type=float, nargs="+", help="train.teacher_temperature; default: that of params.yaml"
    )
    parser.add_argument("--test", action="store_true", help="score on the test split")
    arguments = parser.parse_args(argv)
    try:
        print(run(arguments))
    except AtnetError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(arguments: argparse.Namespace) -> str:
    """Do what the command line asks for, and return the table."""
    params = _params()
    (FOLDER / "data").mkdir(parents=True, exist_ok=True)
    data = prepare("default", params, FOLDER / "data")
    pool = data.tables["train"].drop(columns=RATING, errors="ignore")
    if arguments.pool is not None:
        pool = _drawn(pool, arguments.pool)
    folder = FOLDER / f"{arguments.labels}-{len(pool)}-{'test' if arguments.test else 'validation'}"
    few = _drawn(data.tables["validation"], int(arguments.labels * VALIDATION_SHARE))
    held_out = data.tables["validation"]
    scored = data.tables["test"] if arguments.test else held_out[~held_out[TEXT_HASH].isin(set(few[TEXT_HASH]))]
    teacher_NC, teacher_scored_NC = _teacher(data, pool, few, scored, folder)
    columns = {teacher_column(label): teacher_NC[:, place] for place, label in enumerate(data.labels)}
    train = pool.assign(**{HARD_LABEL: True}, **columns)
    experiment = Experiment(params, train, few, scored, data.labels, arguments.labels, folder)
    students = [Student(FEW), *_taught(arguments, params), Student(ALL)]
    predicted = {
        student.name: [experiment.probabilities(student, seed) for seed in range(arguments.seeds)]
        for student in students
    }
    actual_N = pd.Index(data.labels).get_indexer(pd.Index(scored[LABEL]))
    scores = score_models(actual_N, predicted, paired_seeds=True)
    scores |= score_models(actual_N, {TEACHER: [teacher_scored_NC]})
    head = f"{machine()}; {versions('tensorflow-cpu', 'tensorflow', 'keras', 'scikit-learn')}; {arguments.seeds} seeds"
    return f"{head}; {len(scored):,} texts\n\n{_table(students, scores, experiment)}"


def _params() -> Params:
    params = load_params(ROOT / "params.yaml")
    data = params.data.model_copy(update={"path": str((ROOT / params.data.path).resolve())})
    return params.model_copy(update={"data": data})


def _taught(arguments: argparse.Namespace, params: Params) -> list[Student]:
    """Return the students of the teacher: each weight at the first temperature, then the other temperatures."""
    weights = arguments.weight or [params.train.teacher_weight]
    temperatures = arguments.temperature or [params.train.teacher_temperature]
    settings = [(weight, temperatures[0]) for weight in weights] + [(weights[0], other) for other in temperatures[1:]]
    return [Student(TAUGHT, weight, temperature) for weight, temperature in settings]


def _teacher(
    data: SplitData, pool: pd.DataFrame, validation: pd.DataFrame, scored: pd.DataFrame, folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return the teacher's probabilities of the pool, cross-fitted, and of the scored rows, (N, C) each."""
    path = folder / "teacher.npz"
    if not path.is_file():
        learn = linear_learner(LINEAR_SVM, data.params.baseline)
        folds = make_folds(pool, FOLDS, seed=data.params.train.seed)
        tasks = [*fold_tasks(folds, pool), Task(pool, validation, scored[TEXT].tolist())]
        *of_folds, of_scored = (predictions.aligned_to(data.labels)[0] for predictions in learn(tasks))
        probability_NC = np.zeros((len(pool), len(data.labels)))
        for fold, values in zip(folds, of_folds, strict=True):
            probability_NC[fold.rows] = values
        _save(path, np.concatenate([probability_NC, of_scored]))
    both = _load(path)
    return both[: len(pool)], both[len(pool) :]


def _table(students: Sequence[Student], scores: dict[str, ModelScores], experiment: Experiment) -> str:
    rows, pool = experiment.labeled_rows, len(experiment.train)
    titles = {
        FEW: f"AtNet, {rows:,} labels alone",
        TAUGHT: f"AtNet, {rows:,} labels and the teacher's probabilities of {pool:,} texts",
        ALL: f"AtNet, all {pool:,} labels",
    }
    alone = scores[students[0].name]
    lines = []
    for student in students:
        score = scores[student.name]
        gain = "" if student.rows == FEW else _interval(accuracy_difference(score, alone), sign="+")
        settings = ["", ""] if student.weight is None else [f"{student.weight:g}", f"{student.temperature:g}"]
        error = f"{score.calibration_error:.3f}"
        lines.append([titles[student.rows], *settings, _interval(score.accuracy), gain, error])
    teacher = scores[TEACHER]
    name, error = f"the teacher: linear SVM, all {pool:,} labels", f"{teacher.calibration_error:.3f}"
    lines.append([name, "", "", _interval(teacher.accuracy), "", error])
    header = ["model", "weight", "temperature", "accuracy, %", "difference from the labels alone", "calibration error"]
    return markdown_table(header, lines)


def _interval(score: Interval, sign: str = "") -> str:
    value, low, high = (f"{100 * part:{sign}.1f}" for part in (score.value, score.low, score.high))
    return f"{value} ({low} to {high})"


def _drawn(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    order = np.random.default_rng(FOLDS).permutation(len(table))
    return table.iloc[np.sort(order[:rows])].reset_index(drop=True)


def _save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, values=values.astype(np.float32))


def _load(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        return np.asarray(arrays["values"], dtype=np.float64)


if __name__ == "__main__":
    sys.exit(main())
