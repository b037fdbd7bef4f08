"""Measure training on IMDB at 400 tokens: `ATNET_DATASETS=<folder> python -m benchmarks.training`.

Three parts: `rival`, the project's training against a plain Keras script, in turn; `growth`, one epoch over more and
more rows; `floor`, what the floating-point work alone would take on this CPU. Prints Markdown tables.

This process imports the standard library only: its own peak memory is the least that its children can show.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.copied import ROOT
from benchmarks.measure import Measured, busy, machine, measure, versions
from benchmarks.training_tables import Run, floor_report, growth_report, rival_report

PARTS = ("rival", "growth", "floor")
BEGUN = "ATNET_BENCHMARK_BEGUN"
"""When the parent started a child, in seconds since 1970."""
SET = "imdb50k.csv.gz"


def main() -> None:
    """Prepare the tokens with the project's stages, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rows", type=int, help="rows taken from IMDB, test included; default: all 50,000")
    parser.add_argument("--epochs", type=int, default=10, help="of the plain script")
    parser.add_argument("--own-epochs", type=int, default=4, help="of the project's training, at most")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, in turn")
    parser.add_argument("--growth", type=int, nargs="+", default=[25_000, 50_000, 100_000, 200_000, 400_000])
    parser.add_argument("--folder", type=Path, help="keep the prepared tokens here and use those that are there")
    arguments = parser.parse_args()
    print(machine(), versions("tensorflow-cpu", "tensorflow", "keras"), busy(), sep="; ", end="\n\n", flush=True)
    with working_folder(arguments.folder) as folder:
        prepared = prepare(folder, arguments.rows)
        own: list[Run] = []
        if "rival" in arguments.parts:
            pairs = [
                (plain_run(folder, arguments.epochs), project_run(folder, folder / "tokens", arguments.own_epochs))
                for _ in range(arguments.runs)
            ]
            own = [project for _, project in pairs]
            print(rival_report([plain for plain, _ in pairs], own, prepared), end="\n\n", flush=True)
        if "growth" in arguments.parts:
            print(growth_report([grown(folder, rows) for rows in arguments.growth]), end="\n\n", flush=True)
        if "floor" in arguments.parts:
            own = own or [project_run(folder, folder / "tokens", 2)]
            print(floor_report(child("training_floor", [folder / "params.yaml"])[0], own), flush=True)


@contextlib.contextmanager
def working_folder(kept: Path | None) -> Iterator[Path]:
    """Give the kept folder, or one that is gone afterwards."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as folder:
            yield Path(folder)
    else:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()


def prepare(folder: Path, rows: int | None) -> float:
    """Run the stages up to the word vectors; give the seconds of `tokenize` and `vectors`."""
    noted = folder / "prepared.json"
    if noted.exists():
        known = json.loads(noted.read_text(encoding="utf-8"))
        if known["rows"] != rows:
            raise SystemExit(f"{folder} holds tokens of {known['rows'] or 'all'} rows: name another --folder.")
        return float(known["seconds"])
    source = Path(os.environ.get("ATNET_DATASETS") or "", SET)
    if not os.environ.get("ATNET_DATASETS") or not source.is_file():
        raise SystemExit(f"Set ATNET_DATASETS to the folder that holds {SET}: text, label, split and id as columns.")
    child("training_rows", ["prepare", source.resolve(), folder, str(rows or 0)])
    stage("validate", ["rows.csv", "validated"], folder)
    stage("split", ["validated", "splits"], folder)
    seconds = stage("tokenize", ["splits", "tokens"], folder).seconds
    seconds += stage("vectors", ["tokens", "vectors"], folder).seconds
    noted.write_text(json.dumps({"rows": rows, "seconds": seconds}), encoding="utf-8")
    return seconds


def plain_run(folder: Path, epochs: int) -> Run:
    """Run the plain script on the rows of the project's splits."""
    return Run.of(*child("training_plain", [folder / "splits", str(epochs)]))


def project_run(folder: Path, tokens: Path, epochs: int) -> Run:
    """Run the project's training on a folder of tokens."""
    return Run.of(*child("training_project", [tokens, folder / "vectors", folder / "params.yaml", str(epochs)]))


def grown(folder: Path, rows: int) -> Run:
    """Train one epoch over so many rows, resampled from the prepared ones."""
    with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as name:
        child("training_rows", ["resample", folder / "tokens", name, str(rows)])
        return project_run(folder, Path(name), 1)


def child(module: str, arguments: Sequence[Path | str]) -> tuple[dict[str, Any], Measured]:
    """Run one of this benchmark's other modules; give what its last line says, and what it cost."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    environment = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = measure(command, ROOT, {**environment, BEGUN: repr(time.time())})
    return json.loads(done.output.strip().splitlines()[-1]), done


def stage(name: str, folders: Sequence[str], where: Path) -> Measured:
    """Run a stage as DVC does."""
    return measure([sys.executable, "-m", f"atnet.stages.{name}", *folders], where, {"PYTHONPATH": str(ROOT / "src")})


if __name__ == "__main__":
    main()
