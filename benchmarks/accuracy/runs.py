"""One model trained with one seed on one dataset: a DVC target in a project copy."""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from atnet.files import DVC_LOCK
from atnet.storage import read_json, write_text
from benchmarks.accuracy.datasets import Dataset, with_overrides
from benchmarks.accuracy.graph import TRAINING_STAGE, target
from benchmarks.accuracy.models import ATNET, FASTTEXT, Kind, ModelSpec
from benchmarks.accuracy.processes import run_parallel
from benchmarks.accuracy.results import facts_file, load_predictions, predictions_file, search_file
from benchmarks.accuracy.workspace import Workspace

SplitName = Literal["validation", "test"]
Runs = Mapping[ModelSpec, Sequence["Run"]]
LOG = "log.txt"


@dataclass(frozen=True, slots=True)
class Run:
    """A project copy, and which of its results belong to the model."""

    dataset: str
    title: str
    project: Path
    kind: Kind
    model: str
    """Name of the model in the predictions file."""
    size: int
    """Bytes of the data file, a rough measure of the duration."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return seconds, parameters and chosen settings."""
        facts = read_json(self.project / facts_file(self.kind))
        return dict(facts.get(self.model, facts))

    def predictions(self, split: SplitName) -> tuple[np.ndarray, np.ndarray]:
        """Return the actual classes (N,) and the probabilities (N, C)."""
        return load_predictions(self.project / predictions_file(self.kind, split), self.model)


def is_installed(kind: Kind) -> bool:
    """Return whether a model's packages are installed; fastText has its own lock file."""
    return kind != FASTTEXT or importlib.util.find_spec("fasttext") is not None


def plan_runs(workspace: Workspace, dataset: Dataset, model: ModelSpec) -> list[Run]:
    """Create the project copies of a model, one per seed; the linear models share one."""
    return [_run(workspace, dataset, model, seed) for seed in model.seeds]


def prepare(workspace: Workspace, dataset: Dataset, runs: Runs) -> None:
    """Run the stages before the trainings once per setting; the other seeds restore them from the cache."""
    for model, model_runs in runs.items():
        targets = ("tokenize", "vectors") if model.kind == "atnet" else ("split",)
        workspace.reproduce(model_runs[0].project, *targets)
        if model.kind == FASTTEXT:
            workspace.reproduce(model_runs[0].project, "fasttext_search")


def execute(workspace: Workspace, runs: Sequence[Run], split: SplitName, jobs: int) -> None:
    """Train where necessary and predict a split; DVC skips what is up to date."""
    pending = list({(run.project, run.kind): run for run in runs}.values())
    # The longest first, so that at the end no core waits for the others.
    pending.sort(key=lambda run: run.size, reverse=True)
    finished = iter(range(1, len(pending) + 1))

    def reproduce(run: Run) -> None:
        write_text(run.project / LOG, workspace.reproduce(run.project, target(run.kind, split)))
        progress = f"[{next(finished)}/{len(pending)}] {run.dataset}: {run.title}: {_short(run)}"
        print(progress, file=sys.stderr, flush=True)

    run_parallel(reproduce, pending, jobs)


def configuration(run: Run) -> str:
    """Hash what a model's predictions depend on besides the seed: DVC's record of the stage that trained it.

    Returns:
        SHA-256 over command, parameters and the MD5 of every dependency: splits or tokens, code, package versions.
    """
    lock = yaml.safe_load((run.project / DVC_LOCK).read_text(encoding="utf-8"))
    stage = lock["stages"][TRAINING_STAGE[run.kind]]
    content = {"cmd": stage["cmd"], "deps": stage["deps"], "params": _without_seed(stage.get("params", {}))}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def search_result(run: Run) -> dict[str, Any]:
    """Return the settings that fastText's search chose."""
    return dict(read_json(run.project / search_file()))


def _run(workspace: Workspace, dataset: Dataset, model: ModelSpec, seed: int) -> Run:
    overrides = {**model.overrides, "train.seed": seed} if model.kind == "atnet" else {}
    shared = model.kind == "linear"
    name = "linear" if shared else f"{model.name}-{seed}"
    seeds = {"seed": seed, "search_seed": model.seeds[0]}
    project = workspace.create_project(dataset, name, with_overrides(dataset.params, overrides), seeds)
    title = "linear baselines" if shared else f"{model.name}, seed {seed}"
    in_file = ATNET if model.kind == "atnet" else model.name
    return Run(dataset.name, title, project, model.kind, in_file, dataset.path.stat().st_size)


def _without_seed(params: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for file, values in params.items():
        train = values.get("train", {})
        result[file] = {**values, "train": {**train, "seed": None}} if train else {**values, "seed": None}
    return result


def _short(run: Run) -> str:
    facts = read_json(run.project / facts_file(run.kind))
    values = {name: value for name, value in facts.items() if not isinstance(value, dict)}
    return json.dumps(values or {name: value.get("C") for name, value in facts.items()})
