"""Measure a cold `dvc repro` on the default data against a plain Keras script: `python -m benchmarks.pipeline`.

Cold: a copy of the project without data, cache, lock file and MLflow store; only the downloaded archive of the default
data is kept between runs. The two run alternately; the medians are compared.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Measurement, machine, markdown_table, measure, system_load, versions
from benchmarks.project_copy import ROOT, command_environment, project_copy

GOAL = 1.5
DATA = Path("data", "01_raw", "sentiment.csv")
RECORD = "ATNET_BENCHMARK_RECORD"
SHIM = f"""#!{sys.executable} -IS
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen([{sys.executable!r}, *sys.argv[1:]])
_, status, usage = os.wait4(process.pid, 0)
stage = sys.argv[2].rpartition(".")[2]
line = dict(stage=stage, seconds=time.perf_counter() - started, cpu_seconds=usage.ru_utime + usage.ru_stime)
line["peak_bytes"] = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
with open(os.environ[{RECORD!r}], "a") as file:
    file.write(json.dumps(line) + chr(10))
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A `python` that comes first on the path and records what each stage cost."""
Stages = Mapping[str, Measurement]


def main() -> None:
    """Run both alternately and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each")
    arguments = parser.parse_args()
    print(machine(), versions("tensorflow-cpu", "tensorflow", "keras", "dvc"), system_load(), sep="; ", end="\n\n")
    pipelines, scripts = [], []
    for _ in range(arguments.runs):
        with project_copy() as root:
            pipelines.append(cold_pipeline(root))
            scripts.append(plain_script(root / DATA))
    print(report(pipelines, scripts))


def cold_pipeline(root: Path) -> tuple[Measurement, Stages]:
    """Run `dvc repro` in a copy and return its cost and that of each stage's process."""
    with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as folder:
        shim, record = Path(folder, "python"), Path(folder, "record.jsonl")
        shim.write_text(SHIM, encoding="utf-8")
        shim.chmod(0o755)
        variables = {**command_environment(root, first_on_path=Path(folder)), RECORD: str(record)}
        whole = measure([sys.executable, "-m", "dvc", "repro"], root, variables)
        records = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return whole, {record.pop("stage"): Measurement(**record, output="") for record in records}


def plain_script(data: Path) -> Measurement:
    """Run the plain script on the same rows."""
    command = [sys.executable, "-m", "benchmarks.plain_script", str(data)]
    return measure(command, ROOT, {"PYTHONPATH": os.fspath(ROOT)})


def report(pipelines: Sequence[tuple[Measurement, Stages]], scripts: Sequence[Measurement]) -> str:
    """Tabulate the stages, DVC's own share, the whole run and the script."""
    wholes = [whole for whole, _ in pipelines]
    by_stage: dict[str, list[Measurement]] = defaultdict(list)
    for whole, stages in pipelines:
        for stage, measured in stages.items():
            by_stage[stage].append(measured)
        own = whole.seconds - sum(measured.seconds for measured in stages.values())
        own_cpu = whole.cpu_seconds - sum(measured.cpu_seconds for measured in stages.values())
        by_stage["DVC itself"].append(Measurement(own, own_cpu, 0, ""))
    rows = [_row(stage, measured) for stage, measured in by_stage.items()]
    rows += [_row("**`dvc repro`, total**", wholes), _row("**plain Keras script**", scripts)]
    ratio = _median(wholes) / _median(scripts)
    printed = scripts[-1].output.strip().splitlines()[-1]
    header = ["cold run", "wall time, median (s)", "fastest (s)", "slowest (s)", "CPU time (s)", "peak memory (MB)"]
    table_text = markdown_table(header, rows)
    summary = f"ratio of the medians: {ratio:.2f} (goal: at most {GOAL}), {len(wholes)} runs each; script: {printed}"
    return f"{table_text}\n\n{summary}"


def _median(runs: Sequence[Measurement]) -> float:
    return statistics.median(run.seconds for run in runs)


def _row(name: str, runs: Sequence[Measurement]) -> list[str]:
    seconds = [run.seconds for run in runs]
    peak = max(run.peak_megabytes for run in runs)
    cpu = statistics.median(run.cpu_seconds for run in runs)
    times = [f"{value:.1f}" for value in (_median(runs), min(seconds), max(seconds), cpu)]
    return [name, *times, f"{peak:,.0f}" if peak else ""]


if __name__ == "__main__":
    main()
