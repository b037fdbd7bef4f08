"""The course of the benchmark: prepare, train, score, and evaluate on test splits."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from atnet.files import SPLIT_REPORT
from atnet.storage import read_json
from benchmarks.accuracy import tables
from benchmarks.accuracy.comparison import ResultRow, result_rows, row_from_result, variant_differences
from benchmarks.accuracy.datasets import Dataset
from benchmarks.accuracy.graph import target
from benchmarks.accuracy.ledger import (
    TestEvaluation,
    append_evaluation,
    count_evaluations,
    find_evaluation,
    read_ledger,
)
from benchmarks.accuracy.models import ATNET, FASTTEXT, LINEAR, ModelSpec
from benchmarks.accuracy.processes import run_parallel
from benchmarks.accuracy.runs import Run, Runs, configuration, execute, plan_runs, prepare, search_result
from benchmarks.accuracy.workspace import Workspace
from benchmarks.project_copy import ROOT

LEDGER = ROOT / "benchmarks" / "test_ledger.jsonl"
EVALUATED_CODE = ("src", "benchmarks/accuracy", "params.yaml", "dvc.yaml")
"""A commit identifies what was evaluated only if these have no uncommitted changes."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where to run, on which datasets, and how many processes at a time."""

    workspace: Workspace
    datasets: tuple[Dataset, ...]
    jobs: int


def compare_models(benchmark: Benchmark, models: Sequence[ModelSpec]) -> list[str]:
    """Compare the models on validation and return the parts of the page."""
    trained = _train(benchmark, models)
    rows = [row for name, runs in trained.items() for row in result_rows(name, runs, "validation")]
    return [*_page("validation", trained, rows), tables.VALIDATION_NOTE, *_chosen(trained)]


def compare_on_test(benchmark: Benchmark, models: Sequence[ModelSpec], *, again: bool, now: datetime) -> list[str]:
    """Compare the models on the test splits, record it in the ledger, and return the parts of the page."""
    trained = _train(benchmark, models)
    rows: list[ResultRow] = []
    notes: list[str] = []
    for name, runs in trained.items():
        dataset_rows, dataset_notes = evaluate_on_test(benchmark, name, runs, again=again, now=now)
        rows, notes = [*rows, *dataset_rows], [*notes, *dataset_notes]
    page = [*_page("test", trained, rows), tables.TEST_NOTE, *_chosen(trained)]
    return [*page, "\n".join(f"- {line}" for line in notes)]


def ablate(benchmark: Benchmark, variants: Sequence[ModelSpec]) -> list[str]:
    """Compare the variants with the first on validation and return the parts of the page."""
    trained = _train(benchmark, variants)
    differences = {name: variant_differences(runs, "validation") for name, runs in trained.items()}
    seeds = f"{len(variants[0].seeds)} seeds each; 95 % intervals over texts and seeds, both paired with the default's."
    table = tables.ablation_table(differences)
    return ["**Ablation, validation accuracy in percent**", table, f"{seeds}\n{tables.VALIDATION_NOTE}"]


def evaluate_on_test(
    benchmark: Benchmark, dataset: str, runs: Runs, *, again: bool, now: datetime
) -> tuple[list[ResultRow], list[str]]:
    """Return the test scores of a dataset: from the ledger if it has them, else by reading the test split.

    Args:
        benchmark: where to run.
        dataset: the name.
        runs: the trained models.
        again: read the test split even if the ledger has the scores.
        now: the time to record.

    Returns:
        The rows in the order of the models, and notes about what was read.
    """
    recorded, date = read_ledger(LEDGER), now.isoformat(timespec="minutes")
    wanted = {
        model: TestEvaluation(dataset, model.name, configuration(model_runs[0]), model.seeds, commit(), date)
        for model, model_runs in runs.items()
    }
    evaluated: dict[ModelSpec, TestEvaluation] = {}
    if not again:
        evaluations = {model: find_evaluation(recorded, wanted[model]) for model in runs}
        evaluated = {model: evaluation for model, evaluation in evaluations.items() if evaluation is not None}
    unread = [model for model in runs if model not in evaluated]
    execute(benchmark.workspace, [run for model in unread for run in runs[model]], "test", benchmark.jobs)
    fresh = {row.model: row for row in _fresh_rows(benchmark.workspace, dataset, runs, unread)}
    for model in unread:
        append_evaluation(LEDGER, replace(wanted[model], result=fresh[model.name].as_result()))
    rows = [
        row_from_result(dataset, model.name, model.seeds, evaluated[model].result)
        if model in evaluated
        else fresh[model.name]
        for model in runs
    ]
    return rows, _notes(dataset, evaluated, unread)


def commit() -> str:
    """Return the commit, marked if what is evaluated has uncommitted changes."""
    name = _git("rev-parse", "--short=12", "HEAD").strip()
    return f"{name}-changed" if _git("status", "--porcelain", "--", *EVALUATED_CODE).strip() else name


def _fresh_rows(workspace: Workspace, dataset: str, runs: Runs, unread: Sequence[ModelSpec]) -> list[ResultRow]:
    """Score the models just evaluated, with earlier ones whose test predictions still exist."""
    if not unread:
        return []
    available = {
        model: model_runs
        for model, model_runs in runs.items()
        if model in unread or all(_has_test_predictions(workspace, run) for run in model_runs)
    }
    return result_rows(dataset, available, "test")


def _has_test_predictions(workspace: Workspace, run: Run) -> bool:
    return workspace.is_current(run.project, target(run.kind, "test"))


def _notes(dataset: str, evaluated: Mapping[ModelSpec, TestEvaluation], unread: Sequence[ModelSpec]) -> list[str]:
    notes = [
        f"{dataset}, {model.name}: from the ledger, not read again (read on {evaluation.date}, commit "
        f"{evaluation.commit})"
        for model, evaluation in evaluated.items()
    ]
    if unread:
        notes.append(f"{dataset}: read now for {', '.join(model.name for model in unread)}; see {LEDGER.name}")
    times = count_evaluations(read_ledger(LEDGER)).get((dataset, ATNET), 0)
    return [*notes, f"{dataset}: default AtNet was evaluated on this test split {times} time{'s'[: times != 1]} so far"]


def _train(benchmark: Benchmark, models: Sequence[ModelSpec]) -> dict[str, Runs]:
    workspace, datasets = benchmark.workspace, benchmark.datasets
    workspace.create_store()
    planned: dict[str, Runs] = {
        dataset.name: {model: plan_runs(workspace, dataset, model) for model in models} for dataset in datasets
    }
    run_parallel(lambda dataset: prepare(workspace, dataset, planned[dataset.name]), datasets, benchmark.jobs)
    everything = [run for runs in planned.values() for model_runs in runs.values() for run in model_runs]
    execute(workspace, everything, "validation", benchmark.jobs)
    return planned


def _page(split: str, trained: Mapping[str, Runs], rows: Sequence[ResultRow]) -> list[str]:
    reports = {name: _split_report(runs) for name, runs in trained.items()}
    baselines = [tables.baseline_table(rows)] if any(row.against for row in rows) else []
    return [
        f"**Accuracy on {split}**",
        tables.datasets_table(reports),
        tables.models_table(rows),
        *baselines,
        tables.NOTE,
    ]


def _split_report(runs: Runs) -> dict[str, object]:
    return dict(read_json(next(iter(runs.values()))[0].project / SPLIT_REPORT))


def _chosen(trained: Mapping[str, Runs]) -> list[str]:
    chosen: dict[str, dict[str, Any]] = {}
    for dataset, runs in trained.items():
        facts = {model.name: model_runs[0].facts for model, model_runs in runs.items() if model.name in LINEAR[1:]}
        for model, model_runs in runs.items():
            if model.name == FASTTEXT:
                facts[FASTTEXT] = search_result(model_runs[0])
        chosen[dataset] = facts
    return [tables.chosen_list(chosen)] if any(chosen.values()) else []


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout
