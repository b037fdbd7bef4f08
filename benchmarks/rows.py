"""Measure stages and `atnet check` on generated rows: seconds, peak memory and their growth.

    python -m benchmarks.rows --rows 100000 1000000
    python -m benchmarks.rows --rows 200000 1000000 --stages check validate split baseline

A stage reads what those before it wrote. `baseline` fits with a single regularization, which takes the same memory as
with several. Each stage runs as a separate command in a temporary project folder, as DVC runs it. Prints a Markdown
table.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import yaml

from atnet.files import EXPECTATIONS, PARAMS_FILE, RAW
from benchmarks.measure import machine, measure, system_load, versions
from benchmarks.project_copy import ROOT, command_environment

DATA_FILE = RAW / "rows.csv"
STAGES = ("validate", "split", "tokenize")
CHECK = "check"
CHECK_CODE = """
from atnet.cli.check import check_inputs
from atnet.storage import load_params
check_inputs(load_params())
"""
VOCABULARY = 200_000
WORDS_PER_TEXT = 20
EXACT_FRACTION, NEAR_FRACTION = 0.02, 0.02
CHUNK = 100_000
LETTERS = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
PUNCTUATION = np.array(["", "", "", "", "", "", "", "", ",", "!"])


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage cost."""

    stage: str
    rows: int
    seconds: float
    """Wall time."""
    cpu_seconds: float
    """Of all threads: more than the wall time if cores work in parallel, less if the machine is busy."""
    peak_gigabytes: float


def generate_words(rng: np.random.Generator) -> np.ndarray:
    """Generate distinct words, the first ones the shortest, as frequent words are."""
    lengths = np.clip(rng.normal(2.5 + np.log10(np.arange(1, 2 * VOCABULARY + 1)), 1.5).round(), 1, 14).astype(int)
    characters = rng.choice(LETTERS, size=lengths.sum(), p=_zipf(len(LETTERS), 0.7))
    words = dict.fromkeys("".join(part) for part in np.split(characters, lengths.cumsum()[:-1]))
    return np.array(list(words)[:VOCABULARY], dtype=object)


def generate_texts(rows: int, words: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Generate texts of Zipf-distributed words; a few repeat another text exactly, a few with one word more."""
    lengths = np.maximum(3, rng.gamma(3, WORDS_PER_TEXT / 3, size=rows).round()).astype(int)
    chosen = words[rng.choice(len(words), size=lengths.sum(), p=_zipf(len(words), 1.05))]
    with_punctuation = chosen + PUNCTUATION[rng.integers(len(PUNCTUATION), size=len(chosen))].astype(object)
    bounds = np.append(0, lengths.cumsum())
    texts = [" ".join(with_punctuation[start:end]) + "." for start, end in pairwise(bounds)]
    exact, similar = int(rows * EXACT_FRACTION), int(rows * NEAR_FRACTION)
    repeated = exact + similar
    for row, source in zip(range(exact), rng.integers(repeated, rows, size=exact), strict=True):
        texts[row] = texts[source].upper()
    for row, source in zip(range(exact, repeated), rng.integers(repeated, rows, size=similar), strict=True):
        texts[row] = f"{texts[source]} {words[row % len(words)]}"
    return texts


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Write a CSV with id, text and one of two labels."""
    rng = np.random.default_rng(seed)
    words = generate_words(rng)
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        table = pd.DataFrame(
            {
                "id": [f"row-{row:08d}" for row in range(start, start + size)],
                "text": generate_texts(size, words, rng),
                "label": rng.choice(["negative", "positive"], size=size),
            }
        )
        table.iloc[rng.permutation(size)].to_csv(path, mode="a", header=start == 0, index=False)


def write_params(path: Path, changes: Mapping[str, Mapping[str, object]] = MappingProxyType({})) -> None:
    """Write the project's parameters with the generated file and its columns, and other changes by section."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    columns: dict[str, object] = {
        "text": "text",
        "label": "label",
        "id": "id",
        "split": None,
        "rating": None,
        "weight": None,
        "slices": [],
    }
    params["data"] |= {"path": str(DATA_FILE), "columns": columns}
    params["validate"]["label_from_rating"] = None
    params["baseline"]["regularization"] = [1.0]
    for section, values in changes.items():
        params[section] |= values
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    (path.parent / EXPECTATIONS).write_text("expectations: []\n", encoding="utf-8")


def measure_stage(stage: str, rows: int, project: Path) -> StageCost:
    """Run a stage in a project folder and measure it."""
    run = ["-c", CHECK_CODE] if stage == CHECK else ["-m", f"atnet.stages.{stage}"]
    command = [sys.executable, *run]
    cost = measure(command, project, command_environment(ROOT))
    return StageCost(stage, rows, cost.seconds, cost.cpu_seconds, cost.peak_bytes / 1e9)


def measure_rows(rows: int, seed: int, stages: Sequence[str]) -> list[StageCost]:
    """Run the stages on that many rows."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write_params(project / PARAMS_FILE)
        (project / RAW).mkdir(parents=True)
        write_rows(project / DATA_FILE, rows, seed)
        return [measure_stage(stage, rows, project) for stage in stages]


def as_markdown(measured: Sequence[StageCost]) -> str:
    """Tabulate the costs by stage; slope 1 means that twice the rows take twice the time."""
    sizes = sorted({cost.rows for cost in measured})
    head = [f"{size:,} rows: s | CPU s | peak GB" for size in sizes]
    lines = ["| stage | " + " | ".join(head) + " | slope |", "|---" * (3 * len(sizes) + 2) + "|"]
    for stage in dict.fromkeys(cost.stage for cost in measured):
        lines.append(
            _line(stage, sorted((cost for cost in measured if cost.stage == stage), key=lambda cost: cost.rows))
        )
    return "\n".join([*lines, _line("total", [total(measured, size) for size in sizes])])


def _line(name: str, costs: Sequence[StageCost]) -> str:
    cells = [f"{cost.seconds:.1f} | {cost.cpu_seconds:.1f} | {cost.peak_gigabytes:.2f}" for cost in costs]
    return f"| {name} | " + " | ".join(cells) + f" | {slope(costs)} |"


def total(measured: Sequence[StageCost], size: int) -> StageCost:
    """Return the cost of all stages together."""
    costs = [cost for cost in measured if cost.rows == size]
    return StageCost(
        "total",
        size,
        sum(cost.seconds for cost in costs),
        sum(cost.cpu_seconds for cost in costs),
        max(cost.peak_gigabytes for cost in costs),
    )


def slope(costs: Sequence[StageCost]) -> str:
    """Return the exponent of the growth; empty for a single size."""
    if len(costs) < 2:
        return ""
    first, last = costs[0], costs[-1]
    return f"{math.log(last.seconds / first.seconds) / math.log(last.rows / first.rows):.2f}"


def _zipf(size: int, exponent: float) -> np.ndarray:
    weights = np.arange(1, size + 1) ** -exponent
    probabilities: np.ndarray = weights / weights.sum()
    return probabilities


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--stages", nargs="+", default=STAGES)
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    print(
        machine(),
        versions("pandas", "pyarrow", "great-expectations", "tokenizers"),
        system_load(),
        sep="; ",
        end="\n\n",
    )
    measured = [cost for rows in arguments.rows for cost in measure_rows(rows, arguments.seed, arguments.stages)]
    print(as_markdown(measured))


if __name__ == "__main__":
    main()
