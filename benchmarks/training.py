"""Measure training on IMDB at 400 tokens: `ATNET_DATASETS=<folder> python -m benchmarks.training`.

Three parts: `plain`, the project's training against a plain Keras script, alternately; `growth`, one epoch over more
and more rows; `floor`, the time the matrix products alone would take on this CPU. Prints Markdown tables.

This process imports the standard library only: its children report at least its own peak memory.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Measurement, machine, measure, system_load, versions
from benchmarks.project_copy import ROOT
from benchmarks.training_tables import Run, comparison_report, floor_report, growth_report

PARTS = ("plain", "growth", "floor")
STARTED = "ATNET_BENCHMARK_STARTED"
"""When the parent started a child, in seconds since 1970."""
DATASET = "imdb50k.csv.gz"


def main() -> None:
    """Prepare the tokens with the project's stages and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rows", type=int, help="rows taken from IMDB, test included; default: all 50,000")
    parser.add_argument("--epochs", type=int, default=10, help="of the plain script")
    parser.add_argument("--own-epochs", type=int, default=4, help="of the project's training, at most")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, alternately")
    parser.add_argument("--growth", type=int, nargs="+", default=[25_000, 50_000, 100_000, 200_000, 400_000])
    parser.add_argument(
        "--folder", type=Path, help="project folder to keep the prepared tokens in, and to take them from"
    )
    arguments = parser.parse_args()
    print(machine(), versions("tensorflow-cpu", "tensorflow", "keras"), system_load(), sep="; ", end="\n\n", flush=True)
    with project_folder(arguments.folder) as project:
        seconds = prepare(project, arguments.rows)
        own: list[Run] = []
        if "plain" in arguments.parts:
            plain: list[Run] = []
            for _ in range(arguments.runs):
                plain.append(plain_run(project, arguments.epochs))
                own.append(project_run(project, arguments.own_epochs))
            print(comparison_report(plain, own, seconds), end="\n\n", flush=True)
        if "growth" in arguments.parts:
            print(growth_report([resampled_run(project, rows) for rows in arguments.growth]), end="\n\n", flush=True)
        if "floor" in arguments.parts:
            own = own or [project_run(project, 2)]
            print(floor_report(run_module("training_floor", project)[0], own), flush=True)


@contextlib.contextmanager
def project_folder(folder: Path | None) -> Iterator[Path]:
    """Yield the folder, or a temporary one that is deleted afterwards."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as temporary:
            yield Path(temporary)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()


def prepare(project: Path, rows: int | None) -> float:
    """Run the stages up to the word vectors and return the seconds of `tokenize` and `vectors`."""
    record = project / "prepared.json"
    if record.exists():
        prepared = json.loads(record.read_text(encoding="utf-8"))
        if prepared["rows"] != rows:
            raise SystemExit(f"{project} has tokens of {prepared['rows'] or 'all'} rows: use another --folder.")
        return float(prepared["seconds"])
    source = Path(os.environ.get("ATNET_DATASETS") or "", DATASET)
    if not os.environ.get("ATNET_DATASETS") or not source.is_file():
        raise SystemExit(f"Set ATNET_DATASETS to the folder of {DATASET}, with the columns text, label, split and id.")
    run_module("training_rows", "prepare", source.resolve(), project, str(rows or 0))
    costs = {stage: run_stage(stage, project) for stage in ("validate", "split", "tokenize", "vectors")}
    seconds = costs["tokenize"].seconds + costs["vectors"].seconds
    record.write_text(json.dumps({"rows": rows, "seconds": seconds}), encoding="utf-8")
    return seconds


def plain_run(project: Path, epochs: int) -> Run:
    """Run the plain script on the rows of the project's splits."""
    return Run.from_report(*run_module("training_plain", project, str(epochs)))


def project_run(project: Path, epochs: int) -> Run:
    """Run the project's training."""
    return Run.from_report(*run_module("training_project", project, str(epochs)))


def resampled_run(project: Path, rows: int) -> Run:
    """Train one epoch over that many rows, resampled from the prepared ones."""
    with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as folder:
        run_module("training_rows", "resample", project, folder, str(rows))
        return project_run(Path(folder), 1)


def run_module(module: str, *arguments: Path | str) -> tuple[dict[str, Any], Measurement]:
    """Run another module of this benchmark; return the JSON of its last line, and what it cost."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    environment = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))), "TF_CPP_MIN_LOG_LEVEL": "3"}
    cost = measure(command, ROOT, {**environment, STARTED: repr(time.time())})
    return json.loads(cost.output.strip().splitlines()[-1]), cost


def run_stage(stage: str, project: Path) -> Measurement:
    """Run a stage in the project folder, as DVC does."""
    return measure([sys.executable, "-m", f"atnet.stages.{stage}"], project, {"PYTHONPATH": str(ROOT / "src")})


if __name__ == "__main__":
    main()
