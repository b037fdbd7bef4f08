"""The whole course of the benchmark: prepare, train, judge, and the looks at the test splits."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from atnet.storage import read_json
from benchmarks.accuracy import report
from benchmarks.accuracy.figures import Row, differences, row_from_result, rows_of
from benchmarks.accuracy.ledger import Look, append_look, count_looks, find_look, read_ledger
from benchmarks.accuracy.models import ATNET, FASTTEXT, LINEAR, Entrant
from benchmarks.accuracy.running import Command, run, side_by_side
from benchmarks.accuracy.sets import LabelledSet
from benchmarks.accuracy.tasks import STORE, Run, configuration, execute, planned, prepare, searches
from benchmarks.accuracy.workshop import Workshop
from benchmarks.copied import ROOT

LEDGER = ROOT / "benchmarks" / "test_ledger.jsonl"
JUDGED_BY = ("src", "benchmarks/accuracy", "params.yaml", "dvc.yaml")
"""A commit says what was judged only while these are as it has them."""
Runs = Mapping[Entrant, Sequence[Run]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where, on what, and how many processes at a time."""

    workshop: Workshop
    sets: tuple[LabelledSet, ...]
    jobs: int


def compare(benchmark: Benchmark, entrants: Sequence[Entrant], *, test: bool, again: bool) -> list[str]:
    """Compare the models; give the parts of the page."""
    trained = _trained(benchmark, entrants)
    rows: list[Row] = []
    said: list[str] = []
    for labeled, runs in zip(benchmark.sets, trained, strict=True):
        if test:
            found, told = looked(benchmark, labeled, runs, again=again)
            rows, said = [*rows, *found], [*said, *told]
        else:
            rows += rows_of(labeled.name, runs, "validation")
    parts = [
        f"**Accuracy on {'test' if test else 'validation'}**",
        report.sets_table({one.name: _split_report(benchmark, one) for one in benchmark.sets}),
        report.models_table(rows),
        *([report.against_table(rows)] if any(row.against for row in rows) else []),
        report.NOTE,
        report.TEST_NOTE if test else report.OPTIMISM,
        *_chosen(benchmark, trained),
    ]
    return [*parts, "\n".join(f"- {line}" for line in said)] if said else parts


def ablate(benchmark: Benchmark, entrants: Sequence[Entrant]) -> list[str]:
    """Compare the variants with the first on validation; give the parts of the page."""
    trained = _trained(benchmark, entrants)
    found = {
        labeled.name: differences(runs, "validation") for labeled, runs in zip(benchmark.sets, trained, strict=True)
    }
    seeds = f"{len(entrants[0].seeds)} seeds each; 95 % intervals over texts and seeds, both paired with the default's."
    table = report.ablation_table(found)
    return ["**Ablation, validation accuracy in percent**", table, f"{seeds}\n{report.OPTIMISM}"]


def looked(benchmark: Benchmark, labeled: LabelledSet, runs: Runs, *, again: bool) -> tuple[list[Row], list[str]]:
    """Give the test figures of a set: from the ledger where it has them, else by a look that is written into it."""
    looks, blank = read_ledger(LEDGER), {}
    for entrant in runs:
        blank[entrant] = Look(
            labeled.name,
            entrant.name,
            configuration(benchmark.workshop, labeled, entrant),
            entrant.seeds,
            commit(),
            datetime.now(UTC).isoformat(timespec="minutes"),
        )
    known = {} if again else {one: look for one in runs if (look := find_look(looks, blank[one]))}
    unread = [one for one in runs if one not in known]
    execute(benchmark.workshop, [run for one in unread for run in runs[one]], "test", benchmark.jobs)
    # Answers of earlier looks are compared with; they are read from the cache, not given anew.
    there = {one: its_runs for one, its_runs in runs.items() if not any(run.needs("test") for run in its_runs)}
    fresh = {row.model: row for row in rows_of(labeled.name, there, "test")} if unread else {}
    for one in unread:
        append_look(LEDGER, replace(blank[one], result=fresh[one.name].as_result()))
    rows = [
        row_from_result(labeled.name, one.name, one.seeds, known[one].result) if one in known else fresh[one.name]
        for one in runs
    ]
    return rows, _told(labeled.name, known, unread)


def commit() -> str:
    """Name the commit, and say whether what is judged differs from it."""
    name = _git("rev-parse", "--short=12", "HEAD").strip()
    return f"{name}-changed" if _git("status", "--porcelain", "--", *JUDGED_BY).strip() else name


def _told(name: str, known: Mapping[Entrant, Look], unread: Sequence[Entrant]) -> list[str]:
    counted = count_looks(read_ledger(LEDGER))
    told = [
        f"{name}, {entrant.name}: answered from the ledger, not read again (look of {look.date}, commit {look.commit})"
        for entrant, look in known.items()
    ]
    if unread:
        told.append(f"{name}: read now for {', '.join(one.name for one in unread)}; written into {LEDGER.name}")
    looks = counted.get((name, ATNET), 0)
    return [*told, f"{name}: {looks} look{'' if looks == 1 else 's'} of AtNet's default at this test split so far"]


def _trained(benchmark: Benchmark, entrants: Sequence[Entrant]) -> list[Runs]:
    workshop, sets = benchmark.workshop, benchmark.sets
    if not (workshop.cache / STORE).is_file():
        _make_store(workshop)
    side_by_side(lambda labeled: prepare(workshop, labeled, entrants), sets, benchmark.jobs)
    trained: list[Runs] = [{entrant: planned(workshop, labeled, entrant) for entrant in entrants} for labeled in sets]
    first = [run for labeled in sets for run in searches(workshop, labeled, entrants)]
    rest = [run for runs in trained for entrant, its in runs.items() for run in its if entrant.kind != FASTTEXT]
    last = [run for runs in trained for entrant, its in runs.items() for run in its if entrant.kind == FASTTEXT]
    execute(workshop, [*first, *rest], "validation", benchmark.jobs)
    execute(workshop, last, "validation", benchmark.jobs)
    return trained


def _make_store(workshop: Workshop) -> None:
    """Make an empty MLflow store, which each training copies: making one takes seconds."""
    beside = workshop.cache / f"{STORE}.part"
    beside.unlink(missing_ok=True)
    variables = {**workshop.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{beside}"}
    run(Command("store", ("mlflow", "experiments", "search"), workshop.cache, variables))
    beside.rename(workshop.cache / STORE)


def _split_report(benchmark: Benchmark, labeled: LabelledSet) -> dict[str, object]:
    found: dict[str, object] = read_json(benchmark.workshop.ensure("split", labeled) / "report.json")
    return found


def _chosen(benchmark: Benchmark, trained: Sequence[Runs]) -> list[str]:
    chosen = {}
    for labeled, runs in zip(benchmark.sets, trained, strict=True):
        facts = {one.name: its[0].facts for one, its in runs.items() if one.name in LINEAR[1:]}
        for search in searches(benchmark.workshop, labeled, list(runs)):
            facts[FASTTEXT] = search.facts
        chosen[labeled.name] = facts
    return [report.chosen_list(chosen)] if any(chosen.values()) else []


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout
