"""The runs that the figures need: each trains one model on one set and answers a split, in a process of its own."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from atnet.storage import write_json, write_text
from benchmarks.accuracy.answers import FACTS, JOB, load_answers, load_facts
from benchmarks.accuracy.graph import key_of
from benchmarks.accuracy.models import ATNET, FASTTEXT, Entrant
from benchmarks.accuracy.running import Command, run, side_by_side
from benchmarks.accuracy.sets import LabelledSet, changed
from benchmarks.accuracy.workshop import KEY_CHARACTERS, Workshop, file_hash, write_params
from benchmarks.measure import versions

SplitName = Literal["validation", "test"]
STORE = "store.db"
ATNET_PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "tokenizers", "onnxruntime", "numpy")
LINEAR_PACKAGES = ("scikit-learn", "scipy", "tokenizers", "numpy")
FASTTEXT_PACKAGES = ("fasttext-wheel", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True)
class Run:
    """One process, and where its results are kept."""

    name: str
    module: str
    folder: Path
    labeled: LabelledSet
    job: Mapping[str, Any]
    """What the process is told."""
    answers: str
    """The model's name within the answers; empty for a search, which has none."""

    def needs(self, split: SplitName) -> bool:
        """Tell whether the process must run to answer a split."""
        return not (self.folder / (f"{split}.npz" if self.answers else FACTS)).is_file()

    @property
    def facts(self) -> dict[str, Any]:
        """Seconds, parameters and what was chosen."""
        facts = load_facts(self.folder)
        return dict(facts.get(self.answers, facts))

    def probabilities(self, split: SplitName) -> tuple[np.ndarray, np.ndarray]:
        """Give the actual classes (N,) and the probabilities (N, C)."""
        return load_answers(self.folder, split, self.answers)


def is_installed(kind: str) -> bool:
    """Tell whether what an entrant needs is there; fastText stands in no lock of the project but its own."""
    return kind != FASTTEXT or importlib.util.find_spec("fasttext") is not None


def configuration(workshop: Workshop, labeled: LabelledSet, entrant: Entrant) -> str:
    """Name what a model's answers depend on beside the seed."""
    if entrant.kind == "atnet":
        unseeded = changed(labeled.params, {**entrant.overrides, "train.seed": 0})
        key = workshop.key("train", LabelledSet(labeled.name, labeled.path, unseeded))
        return key_of([key, versions(*ATNET_PACKAGES)])
    inputs = [workshop.key("split", labeled), _own_code(workshop, f"fit_{entrant.kind}", "choosing")]
    if entrant.kind == "linear":
        code = [file_hash(workshop.code / name) for name in workshop.graph["baseline"].code]
        return key_of([*inputs, labeled.params["baseline"], code, versions(*LINEAR_PACKAGES)])
    return key_of([*inputs, entrant.seeds[0], versions(*FASTTEXT_PACKAGES)])


def prepare(workshop: Workshop, labeled: LabelledSet, entrants: Sequence[Entrant]) -> None:
    """Run the stages that the entrants' models start from."""
    workshop.ensure("split", labeled)
    for entrant in entrants:
        if entrant.kind == "atnet":
            workshop.inputs("train", _varied(labeled, entrant, entrant.seeds[0]))


def planned(workshop: Workshop, labeled: LabelledSet, entrant: Entrant) -> list[Run]:
    """Give an entrant's runs on a set, one for each seed; the set must be prepared."""
    if entrant.kind == "atnet":
        return [_atnet(workshop, labeled, entrant, seed) for seed in entrant.seeds]
    key = configuration(workshop, labeled, entrant)[:KEY_CHARACTERS]
    splits = str(workshop.ensure("split", labeled))
    if entrant.kind == "linear":
        folder = workshop.cache / labeled.name / f"linear-{key}"
        name = f"{labeled.name}: linear baselines"
        return [Run(name, "fit_linear", folder, labeled, {"splits": splits}, entrant.name)]
    search = _search(workshop, labeled, entrant)
    return [
        Run(
            f"{labeled.name}: fastText, seed {seed}",
            "fit_fasttext",
            workshop.cache / labeled.name / f"fasttext-{key}-{seed}",
            labeled,
            {"act": "fit", "splits": splits, "search": str(search.folder), "seed": seed},
            FASTTEXT,
        )
        for seed in entrant.seeds
    ]


def searches(workshop: Workshop, labeled: LabelledSet, entrants: Sequence[Entrant]) -> list[Run]:
    """Give the runs that must be done before others: fastText's search."""
    return [_search(workshop, labeled, entrant) for entrant in entrants if entrant.kind == FASTTEXT]


def execute(workshop: Workshop, runs: Sequence[Run], split: SplitName, jobs: int) -> None:
    """Run what is not there yet; runs that share a process are run once."""
    waiting = list({one.folder: one for one in runs if one.needs(split)}.values())
    # The longest first, so that at the end no core waits for the others.
    waiting.sort(key=lambda one: one.labeled.path.stat().st_size, reverse=True)
    done = iter(range(1, len(waiting) + 1))

    def act(one: Run) -> None:
        _execute(workshop, one, split)
        print(f"[{next(done)}/{len(waiting)}] {one.name}: {_said(one)}", file=sys.stderr, flush=True)

    side_by_side(act, waiting, jobs)


def _execute(workshop: Workshop, one: Run, split: SplitName) -> None:
    if one.answers == ATNET and not (one.folder / FACTS).is_file():
        # Begun from the start, so that the seconds are those of a whole training.
        shutil.rmtree(one.folder, ignore_errors=True)
    write_params(one.folder, one.labeled)
    write_json(one.folder / JOB, {**one.job, "split": split})
    module = (f"benchmarks.accuracy.{one.module}", str(one.folder))
    write_text(one.folder / "log.txt", run(Command(one.name, module, one.folder, workshop.environment)))


def _said(one: Run) -> str:
    facts = load_facts(one.folder)
    shown = {name: value for name, value in facts.items() if not isinstance(value, dict)}
    return json.dumps(shown or {name: value.get("C") for name, value in facts.items()})


def _atnet(workshop: Workshop, labeled: LabelledSet, entrant: Entrant, seed: int) -> Run:
    varied = _varied(labeled, entrant, seed)
    key = key_of([workshop.key("train", varied), versions(*ATNET_PACKAGES)])
    folder = workshop.cache / labeled.name / f"atnet-{key[:KEY_CHARACTERS]}"
    job = {
        "splits": str(workshop.ensure("split", varied)),
        "module": workshop.graph["train"].module,
        "arguments": workshop.arguments("train", varied, folder, workshop.inputs("train", varied)),
        "model": str(folder / "train"),
        "store": str(workshop.cache / STORE),
    }
    return Run(f"{labeled.name}: {entrant.name}, seed {seed}", "train_atnet", folder, varied, job, ATNET)


def _varied(labeled: LabelledSet, entrant: Entrant, seed: int) -> LabelledSet:
    params = changed(labeled.params, {**entrant.overrides, "train.seed": seed})
    return LabelledSet(labeled.name, labeled.path, params)


def _search(workshop: Workshop, labeled: LabelledSet, entrant: Entrant) -> Run:
    key = configuration(workshop, labeled, entrant)[:KEY_CHARACTERS]
    folder = workshop.cache / labeled.name / f"fasttext-{key}-search"
    job = {"act": "search", "splits": str(workshop.ensure("split", labeled)), "seed": entrant.seeds[0]}
    return Run(f"{labeled.name}: fastText, search", "fit_fasttext", folder, labeled, job, "")


def _own_code(workshop: Workshop, *modules: str) -> list[str]:
    return [file_hash(workshop.code / "benchmarks" / "accuracy" / f"{module}.py") for module in modules]
