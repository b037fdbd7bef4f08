"""Compare the engines `local` and `spark` on generated rows: seconds, peak memory and their growth.

    python -m benchmarks.spark --rows 100000 1000000 --master local[2]

Runs `validate`, `split` and `tokenize` with each engine, each stage as a separate command in a temporary project
folder, as DVC runs it. Needs PySpark (requirements-spark.lock) and Java. Prints a Markdown table. The memory is that
of the largest single process: with Spark, the Java process and each Python worker are processes of their own.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from atnet.files import PARAMS_FILE, RAW
from benchmarks.measure import machine, markdown_table, system_load, versions
from benchmarks.rows import DATA_FILE, STAGES, StageCost, measure_stage, slope, total, write_params, write_rows

ENGINES = ("local", "spark")


@dataclass(frozen=True, slots=True)
class EngineCost:
    """What one stage cost with one engine."""

    engine: str
    cost: StageCost


def set_engine(path: Path, kind: str, master: str) -> None:
    """Write the engine into params.yaml."""
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["engine"] = {"kind": kind, "master": master, "folder": None}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def measure_engines(rows: int, seed: int, master: str, engines: Sequence[str]) -> Iterator[EngineCost]:
    """Run the stages with each engine on the same rows."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write_params(project / PARAMS_FILE)
        (project / RAW).mkdir(parents=True)
        write_rows(project / DATA_FILE, rows, seed)
        for engine in engines:
            set_engine(project / PARAMS_FILE, engine, master)
            for stage in STAGES:
                yield EngineCost(engine, measure_stage(stage, rows, project))


def as_markdown(measured: Sequence[EngineCost], sizes: Sequence[int]) -> str:
    """Tabulate the costs by engine and stage."""
    header = ["engine", "stage", *(f"{size:,} rows: s | CPU s | peak GB" for size in sizes), "slope"]
    header = [cell for part in header for cell in part.split(" | ")]
    lines = []
    for engine in dict.fromkeys(measurement.engine for measurement in measured):
        costs = [measurement.cost for measurement in measured if measurement.engine == engine]
        for stage in STAGES:
            lines.append(_line(engine, stage, sorted((c for c in costs if c.stage == stage), key=lambda c: c.rows)))
        lines.append(_line(engine, "total", [total(costs, size) for size in sizes]))
    return markdown_table(header, lines, left=2)


def _line(engine: str, stage: str, costs: Sequence[StageCost]) -> list[str]:
    cells = [f"{v}" for c in costs for v in (f"{c.seconds:.1f}", f"{c.cpu_seconds:.1f}", f"{c.peak_gigabytes:.2f}")]
    return [engine, stage, *cells, slope(costs)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES), help="default: both")
    arguments = parser.parse_args()
    print(machine(), versions("pyspark", "pandas", "pyarrow"), system_load(), sep="; ", end="\n\n")
    sizes = sorted(arguments.rows)
    measured = [
        cost for rows in sizes for cost in measure_engines(rows, arguments.seed, arguments.master, arguments.engines)
    ]
    print(as_markdown(measured, sizes))


if __name__ == "__main__":
    main()
