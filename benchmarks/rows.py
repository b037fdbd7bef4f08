"""Measure `validate`, `split` and `tokenize` on generated rows: seconds, peak memory and how both grow.

    python -m benchmarks.rows --rows 100000 1000000

Each stage runs as its own command in a temporary folder, as DVC runs it. Prints a Markdown table.
"""

import argparse
import math
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.measure import busy, machine, measure, versions

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("validate", "split", "tokenize")
VOCABULARY = 200_000
WORDS_PER_TEXT = 20
EXACT_SHARE, NEAR_SHARE = 0.02, 0.02
CHUNK = 100_000
LETTERS = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
MARKS = np.array(["", "", "", "", "", "", "", "", ",", "!"])


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage took."""

    stage: str
    rows: int
    seconds: float
    """Wall time."""
    cpu_seconds: float
    """Of all threads: more than the wall time where cores work side by side, less where the machine is busy."""
    peak_gigabytes: float


def generated_words(rng: np.random.Generator) -> np.ndarray:
    """Make different words, the first the shortest, as frequent words are."""
    lengths = np.clip(rng.normal(2.5 + np.log10(np.arange(1, 2 * VOCABULARY + 1)), 1.5).round(), 1, 14).astype(int)
    letters = rng.choice(LETTERS, size=lengths.sum(), p=_zipf(len(LETTERS), 0.7))
    words = dict.fromkeys("".join(part) for part in np.split(letters, lengths.cumsum()[:-1]))
    return np.array(list(words)[:VOCABULARY], dtype=object)


def generated_texts(rows: int, words: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Make texts of Zipf-distributed words; a few repeat another one exactly, a few but for one word at the end."""
    lengths = np.maximum(3, rng.gamma(3, WORDS_PER_TEXT / 3, size=rows).round()).astype(int)
    chosen = words[rng.choice(len(words), size=lengths.sum(), p=_zipf(len(words), 1.05))]
    marked = chosen + MARKS[rng.integers(len(MARKS), size=len(chosen))].astype(object)
    bounds = np.append(0, lengths.cumsum())
    texts = [" ".join(marked[start:end]) + "." for start, end in pairwise(bounds)]
    exact, near = int(rows * EXACT_SHARE), int(rows * NEAR_SHARE)
    for row, source in zip(range(exact), rng.integers(exact + near, rows, size=exact), strict=True):
        texts[row] = texts[source].upper()
    for row, source in zip(range(exact, exact + near), rng.integers(exact + near, rows, size=near), strict=True):
        texts[row] = f"{texts[source]} {words[row % len(words)]}"
    return texts


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Write a CSV with id, text and one of two labels."""
    rng = np.random.default_rng(seed)
    words = generated_words(rng)
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        table = pd.DataFrame(
            {
                "id": [f"row-{row:08d}" for row in range(start, start + size)],
                "text": generated_texts(size, words, rng),
                "label": rng.choice(["negative", "positive"], size=size),
            }
        )
        table.iloc[rng.permutation(size)].to_csv(path, mode="a", header=start == 0, index=False)


def write_params(path: Path) -> None:
    """Write the project's parameters, pointed at the generated columns."""
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
    params["data"] |= {"path": "rows.csv", "columns": columns}
    params["validate"]["label_from_rating"] = None
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def measure_stage(stage: str, rows: int, folder: Path) -> StageCost:
    """Run one stage command to its end and return its time and peak memory."""
    done = measure([sys.executable, "-m", f"atnet.stages.{stage}"], folder)
    return StageCost(stage, rows, done.seconds, done.cpu_seconds, done.peak_bytes / 1e9)


def measure_rows(rows: int, seed: int) -> list[StageCost]:
    """Run the three stages on this many generated rows."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_params(folder / "params.yaml")
        # In a process of its own: this process's peak memory is the least that its children can show.
        writer = multiprocessing.get_context("spawn").Process(target=write_rows, args=(folder / "rows.csv", rows, seed))
        writer.start()
        writer.join()
        return [measure_stage(stage, rows, folder) for stage in STAGES]


def as_markdown(measured: Sequence[StageCost]) -> str:
    """Lay the results out by stage; slope 1 means twice the rows take twice the time."""
    sizes = sorted({one.rows for one in measured})
    head = [f"{size:,} rows: s | CPU s | peak GB" for size in sizes]
    lines = ["| stage | " + " | ".join(head) + " | slope |", "|---" * (3 * len(sizes) + 2) + "|"]
    for stage in dict.fromkeys(one.stage for one in measured):
        lines.append(_line(stage, sorted((one for one in measured if one.stage == stage), key=lambda one: one.rows)))
    return "\n".join([*lines, _line("together", [_together(measured, size) for size in sizes])])


def _line(name: str, found: Sequence[StageCost]) -> str:
    cells = [f"{one.seconds:.1f} | {one.cpu_seconds:.1f} | {one.peak_gigabytes:.2f}" for one in found]
    return f"| {name} | " + " | ".join(cells) + f" | {_slope(found)} |"


def _together(measured: Sequence[StageCost], size: int) -> StageCost:
    found = [one for one in measured if one.rows == size]
    return StageCost(
        "together",
        size,
        sum(one.seconds for one in found),
        sum(one.cpu_seconds for one in found),
        max(one.peak_gigabytes for one in found),
    )


def _slope(found: Sequence[StageCost]) -> str:
    if len(found) < 2:
        return ""
    first, last = found[0], found[-1]
    return f"{math.log(last.seconds / first.seconds) / math.log(last.rows / first.rows):.2f}"


def _zipf(size: int, exponent: float) -> np.ndarray:
    weights = np.arange(1, size + 1) ** -exponent
    shares: np.ndarray = weights / weights.sum()
    return shares


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    print(machine(), versions("pandas", "pyarrow", "great-expectations", "tokenizers"), busy(), sep="; ", end="\n\n")
    measured = [one for rows in arguments.rows for one in measure_rows(rows, arguments.seed)]
    print(as_markdown(measured))


if __name__ == "__main__":
    main()
