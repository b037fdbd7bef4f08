"""Measure an unchanged `dvc repro` against DVC on three empty stages: `python -m benchmarks.repro`.

The project must be up to date (`make pipeline`); nothing in it is changed.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Measurement, machine, markdown_table, measure, system_load, versions
from benchmarks.project_copy import ROOT, command_environment

DVC = (sys.executable, "-m", "dvc")
GOAL = 1.4
EMPTY_STAGES = """stages:
  first:
    cmd: echo 1 > first.txt
    outs: [first.txt]
  second:
    cmd: echo 2 > second.txt
    deps: [first.txt]
    outs: [second.txt]
  third:
    cmd: echo 3 > third.txt
    deps: [second.txt]
    outs: [third.txt]
"""


def main() -> None:
    """Run both alternately and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=ROOT, help="a project that is up to date")
    parser.add_argument("--runs", type=int, default=11, help="runs of each")
    arguments = parser.parse_args()
    print(machine(), versions("dvc"), system_load(), sep="; ", end="\n\n")
    with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as temporary:
        empty = Path(temporary)
        make_empty_project(empty)
        project = arguments.project.resolve()
        for folder in (empty, project):
            unchanged(folder)
        pairs = [(unchanged(empty), unchanged(project)) for _ in range(arguments.runs)]
    print(report([first for first, _ in pairs], [second for _, second in pairs]))


def make_empty_project(folder: Path) -> None:
    """Create a git and DVC repository of three stages that have run."""
    (folder / "dvc.yaml").write_text(EMPTY_STAGES, encoding="utf-8")
    for command in (["git", "init", "--quiet"], [*DVC, "init", "--quiet"], [*DVC, "repro", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def unchanged(folder: Path) -> Measurement:
    """Measure a `dvc repro` that has nothing to do.

    Raises:
        SystemExit: if it ran a stage.
    """
    done = measure([*DVC, "repro"], folder, command_environment(folder))
    if "Running stage" in done.output:
        raise SystemExit(f"{folder} was not up to date (it is now): run this again.")
    return done


def report(empty: list[Measurement], project: list[Measurement]) -> str:
    """Tabulate medians, extremes and the ratio of the medians."""
    ratio = statistics.median(run.seconds for run in project) / statistics.median(run.seconds for run in empty)
    header = ["unchanged `dvc repro`, wall time", "median (s)", "fastest (s)", "slowest (s)", "peak memory (MB)"]
    rows = [_row("three empty stages", empty), _row("this project", project)]
    summary = f"ratio of the medians: {ratio:.2f} (goal: at most {GOAL}), {len(empty)} runs each"
    return f"{markdown_table(header, rows)}\n\n{summary}"


def _row(name: str, runs: list[Measurement]) -> list[str]:
    seconds = [run.seconds for run in runs]
    times = [f"{value:.2f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]
    return [name, *times, f"{max(run.peak_megabytes for run in runs):,.0f}"]


if __name__ == "__main__":
    main()
