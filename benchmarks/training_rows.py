"""Project folders for `benchmarks.training`: a part of IMDB, and tokens resampled to any number of rows.

python -m benchmarks.training_rows prepare <imdb50k.csv.gz> <project folder> <rows, 0 for all>
python -m benchmarks.training_rows resample <project folder> <new project folder> <rows>
"""

import argparse
import csv
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from atnet.files import LABELS, PARAMS_FILE, PRETRAINED_VECTORS, RAW, TOKENIZER, WORD_VECTORS, encoded_split
from atnet.storage import write_arrow
from atnet.text.encoded_split import EncodedSplit
from benchmarks.project_copy import ROOT

DATA_FILE = RAW / "rows.csv"
LENGTH = 400
REPLACED_FRACTION = 0.05
"""Fraction of the tokens of a resampled text that are replaced, each by a random token of the split."""
CHUNK = 20_000
SEED = 13


def main() -> None:
    """Run the task that the first argument names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("prepare", "resample"))
    parser.add_argument("source", type=Path)
    parser.add_argument("project", type=Path)
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args()
    if arguments.task == "prepare":
        write_csv(arguments.source, arguments.project / DATA_FILE, arguments.rows)
        (arguments.project / PARAMS_FILE).write_text(yaml.safe_dump(parameters()), encoding="utf-8")
    else:
        resample_project(arguments.source, arguments.project, arguments.rows)
    print(json.dumps({"rows": arguments.rows}))


def parameters() -> dict[str, Any]:
    """Return the project's parameters with IMDB's columns and at most 400 tokens per text."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    columns = {"text": "text", "label": "label", "id": None, "split": "split", "rating": None, "weight": None}
    params["data"] |= {"path": str(DATA_FILE), "columns": {**columns, "slices": []}}
    params["validate"]["label_from_rating"] = None
    params["tokenize"]["max_length"] = LENGTH
    return params


def write_csv(source: Path, target: Path, rows: int) -> None:
    """Write evenly spaced rows of a compressed CSV file; 0 for all."""
    csv.field_size_limit(2**30)
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    step = len(read) / rows if rows else 1
    chosen = [read[int(row * step)] for row in range(min(rows, len(read)) or len(read))]
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(read[0]))
        writer.writeheader()
        writer.writerows(chosen)


def resample_project(source: Path, target: Path, rows: int) -> None:
    """Write a project folder whose training split has that many rows, drawn from another project's."""
    for path in (PARAMS_FILE, TOKENIZER, LABELS, encoded_split("validation"), WORD_VECTORS, PRETRAINED_VECTORS):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
    train = EncodedSplit.load(source / encoded_split("train"))
    write_arrow(target / encoded_split("train"), resample(train, rows))


def resample(split: EncodedSplit, rows: int, seed: int = SEED) -> pa.Table:
    """Draw rows with replacement and replace a fraction of their tokens, so that hardly two are equal."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(split), size=rows)
    offsets = np.concatenate([[0], split.lengths[chosen].cumsum()]).astype(np.int32)
    tokens = np.empty(offsets[-1], np.int32)
    all_tokens = split.tokens[split.offsets[0] : split.offsets[-1]]
    for start in range(0, rows, CHUNK):
        part = chosen[start : start + CHUNK]
        first, last = offsets[start], offsets[start + len(part)]
        within = np.arange(last - first) - np.repeat(offsets[start : start + len(part)] - first, split.lengths[part])
        copied = split.tokens[np.repeat(split.offsets[part], split.lengths[part]) + within]
        replaced = rng.random(len(copied)) < REPLACED_FRACTION
        copied[replaced] = rng.choice(all_tokens, size=replaced.sum())
        tokens[first:last] = copied
    return pa.table(
        {
            "id": pa.array([f"row-{row}" for row in range(rows)]),
            "tokens": pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens)),
            "label": pa.array(split.labels[chosen], pa.int32()),
            "text_hash": pa.array([f"{row:016x}" for row in range(rows)]),
        }
    )


if __name__ == "__main__":
    main()
