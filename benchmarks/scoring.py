"""Measure `atnet score` from file to file against Keras `predict` and scikit-learn on the same texts, and its memory.

    python -m benchmarks.scoring --rows 100000 2000000 --repeat 3

Run it in a project whose pipeline has run and that has a champion. The texts are those of the default data, repeated
with other ids. Contenders take turns, so that a busy machine slows all of them. Prints Markdown tables.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import machine, markdown_table, system_load, versions
from benchmarks.project_copy import ROOT

SAMPLE_SECONDS = 0.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
RATE = re.compile(r"([\d,]+) texts/s")


@dataclass(frozen=True, slots=True)
class ScoringCost:
    """What one command cost."""

    contender: str
    rows: int
    seconds: float
    """Wall time of the whole command: imports, model, file to file."""
    cpu_seconds: float
    loaded_seconds: float
    """From the moment the model is loaded to the end."""
    peak_megabytes: float
    """Largest sum of the resident memory of the command and all its children."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path.cwd())
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 2_000_000])
    parser.add_argument("--repeat", type=int, default=3, help="of the smallest number of rows; the others run once")
    arguments = parser.parse_args()
    packages = versions("onnxruntime", "tokenizers", "pyarrow", "tensorflow-cpu", "scikit-learn")
    print(machine(), packages, system_load(), sep="; ", end="\n\n")
    with tempfile.TemporaryDirectory(prefix="atnet-benchmark-") as folder:
        costs = measure_all(arguments.project.resolve(), Path(folder), sorted(arguments.rows), arguments.repeat)
    print(as_markdown(costs))


def measure_all(project: Path, folder: Path, sizes: Sequence[int], repeat: int) -> list[ScoringCost]:
    """Measure every contender at the smallest size, and those that stream or are fast at the others."""
    model = folder / "sklearn.joblib"
    _rival(project, folder, "fit", project / "data/03_splits/train.parquet", model)
    costs: list[ScoringCost] = []
    for size in sizes:
        source = folder / f"rows-{size}.csv"
        write_rows(project, source, size)
        for _ in range(repeat if size == sizes[0] else 1):
            costs.append(measure_atnet(project, folder, source, size, "csv"))
            costs.append(measure_atnet(project, folder, source, size, "parquet"))
            costs.append(measure_rival(project, folder, ("sklearn", model), source, size))
            if size == sizes[0]:
                costs.append(measure_rival(project, folder, ("keras", project / "data/07_model"), source, size))
        source.unlink()
    return costs


def write_rows(project: Path, path: Path, rows: int) -> None:
    """Write the texts of the validated table over and over, each time with new ids."""
    # In a separate process: this one must stay small.
    code = (
        "import sys, pandas as pd\n"
        "texts = pd.read_parquet(sys.argv[1])['text']\n"
        "for start in range(0, int(sys.argv[3]), len(texts)):\n"
        "    part = texts[: int(sys.argv[3]) - start]\n"
        "    ids = [f'row-{start + row}' for row in range(len(part))]\n"
        "    frame = pd.DataFrame({'id': ids, 'text': part.to_numpy()})\n"
        "    frame.to_csv(sys.argv[2], mode='a', header=start == 0, index=False)\n"
    )
    command = [sys.executable, "-c", code, str(project / "data/02_validated/table.parquet"), str(path), str(rows)]
    subprocess.run(command, check=True)


def measure_atnet(project: Path, folder: Path, source: Path, rows: int, format_name: str) -> ScoringCost:
    """Run `atnet score`."""
    target = folder / f"scored.{format_name}"
    command = [sys.executable, "-m", "atnet.cli", "score", str(source), str(target), "--force"]
    seconds, cpu, peak, output = run(command, project)
    rate = RATE.search(output)
    assert rate is not None
    loaded = rows / float(rate[1].replace(",", ""))
    return ScoringCost(f"`atnet score`, {format_name}", rows, seconds, cpu, loaded, peak)


def measure_rival(project: Path, folder: Path, rival: tuple[str, Path], source: Path, rows: int) -> ScoringCost:
    """Run a rival's script."""
    seconds, cpu, peak, output = _rival(project, folder, rival[0], rival[1], source, folder / "rival.csv")
    names = {"keras": "Keras `predict`, csv", "sklearn": "scikit-learn, csv"}
    return ScoringCost(names[rival[0]], rows, seconds, cpu, float(output.split()[-1]), peak)


def run(command: Sequence[str], folder: Path) -> tuple[float, float, float, str]:
    """Run a command; return wall seconds, CPU seconds, peak megabytes of the whole process tree, and what it printed.

    Raises:
        SystemExit: with what the command printed, if it fails.
    """
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    before, begun = os.times(), time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peak = [0]
    done = threading.Event()
    sampler = threading.Thread(target=_sample, args=(process.pid, peak, done.wait))
    sampler.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - begun
    done.set()
    sampler.join()
    after = os.times()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, peak[0] / 1e6, output


def _sample(process_id: int, peak: list[int], wait: Callable[[float], bool]) -> None:
    while not wait(SAMPLE_SECONDS):
        peak[0] = max(peak[0], sum(_resident(member) for member in _tree(process_id)))


def _tree(process_id: int) -> list[int]:
    """List a process and everything it has started, as far as it is running."""
    members = [process_id]
    for member in members:
        try:
            for thread in Path(f"/proc/{member}/task").iterdir():
                members += [int(child) for child in (thread / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return members


def _resident(process_id: int) -> int:
    try:
        return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0


def _rival(project: Path, folder: Path, *arguments: object) -> tuple[float, float, float, str]:
    return run([sys.executable, "-m", "benchmarks.scoring_rivals", *map(str, arguments)], folder)


def as_markdown(costs: Sequence[ScoringCost]) -> str:
    """Format the medians by number of rows and contender, and the ratio to each rival's texts/s once loaded."""
    rivals = [name for name in dict.fromkeys(cost.contender for cost in costs) if not name.startswith("`atnet")]
    rows = []
    for size in sorted({cost.rows for cost in costs}):
        names = dict.fromkeys(cost.contender for cost in costs if cost.rows == size)
        rates = {name: size / _median(costs, size, name, "loaded_seconds") for name in names}
        rows += [[f"{size:,}", name, *_cells(costs, size, name, rates, rivals)] for name in names]
    header = [
        "rows",
        "",
        "s",
        "texts/s",
        "texts/s, loaded",
        "CPU µs/text",
        "peak MB",
        *[f"to {name}" for name in rivals],
    ]
    return markdown_table(header, rows, left=2)


def _cells(
    costs: Sequence[ScoringCost], size: int, name: str, rates: Mapping[str, float], rivals: Sequence[str]
) -> list[str]:
    seconds = _median(costs, size, name, "seconds")
    cpu, peak = _median(costs, size, name, "cpu_seconds"), _median(costs, size, name, "peak_megabytes")
    ratios = [f"{rates[name] / rates[rival]:.2f}" if rival in rates else "" for rival in rivals]
    return [
        *(f"{seconds:.1f}", f"{size / seconds:,.0f}", f"{rates[name]:,.0f}", f"{1e6 * cpu / size:.0f}", f"{peak:.0f}"),
        *ratios,
    ]


def _median(costs: Sequence[ScoringCost], size: int, name: str, field: str) -> float:
    return statistics.median(getattr(cost, field) for cost in costs if (cost.rows, cost.contender) == (size, name))


if __name__ == "__main__":
    main()
