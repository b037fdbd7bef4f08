"""Rows for `benchmarks.training`: a part of IMDB with the project's parameters, and token files of any size.

python -m benchmarks.training_rows prepare <imdb50k.csv.gz> <folder> <rows, 0 for all>
python -m benchmarks.training_rows resample <tokens> <folder> <rows>
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

from atnet.storage import write_arrow
from atnet.text.encoded_split import EncodedSplit
from benchmarks.copied import ROOT

LENGTH = 400
CHANGED = 0.05
"""Share of the tokens of a resampled text that are replaced, each by a token of another place."""
CHUNK = 20_000
SEED = 13


def main() -> None:
    """Do what the first argument says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=("prepare", "resample"))
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args()
    if arguments.act == "prepare":
        write_csv(arguments.source, arguments.folder / "rows.csv", arguments.rows)
        (arguments.folder / "params.yaml").write_text(yaml.safe_dump(parameters()), encoding="utf-8")
    else:
        resample_tokens(arguments.source, arguments.folder, arguments.rows)
    print(json.dumps({"rows": arguments.rows}))


def parameters() -> dict[str, Any]:
    """Give the project's parameters, pointed at IMDB and at most 400 tokens."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    columns = {"text": "text", "label": "label", "id": None, "split": "split", "rating": None, "weight": None}
    params["data"] |= {"path": "rows.csv", "columns": {**columns, "slices": []}}
    params["validate"]["label_from_rating"] = None
    params["tokenize"]["max_length"] = LENGTH
    return params


def write_csv(source: Path, target: Path, rows: int) -> None:
    """Write evenly spaced rows of a compressed CSV; 0 for all."""
    csv.field_size_limit(2**30)
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    step = len(read) / rows if rows else 1
    chosen = [read[int(row * step)] for row in range(min(rows, len(read)) or len(read))]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(read[0]))
        writer.writeheader()
        writer.writerows(chosen)


def resample_tokens(tokens: Path, folder: Path, rows: int) -> None:
    """Write a token folder whose training split has so many rows, drawn from the one there is."""
    for name in ("tokenizer.json", "labels.json", "validation.arrow"):
        shutil.copyfile(tokens / name, folder / name)
    write_arrow(folder / "train.arrow", resampled(EncodedSplit.load(tokens / "train.arrow"), rows))


def resampled(split: EncodedSplit, rows: int, seed: int = SEED) -> pa.Table:
    """Draw rows with replacement and replace a share of their tokens, so that hardly two are the same."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(split), size=rows)
    offsets = np.concatenate([[0], split.lengths[chosen].cumsum()]).astype(np.int32)
    tokens = np.empty(offsets[-1], np.int32)
    everything = split.tokens[split.offsets[0] : split.offsets[-1]]
    for start in range(0, rows, CHUNK):
        part = chosen[start : start + CHUNK]
        begin, end = offsets[start], offsets[start + len(part)]
        within = np.arange(end - begin) - np.repeat(offsets[start : start + len(part)] - begin, split.lengths[part])
        copied = split.tokens[np.repeat(split.offsets[part], split.lengths[part]) + within]
        replaced = rng.random(len(copied)) < CHANGED
        copied[replaced] = rng.choice(everything, size=replaced.sum())
        tokens[begin:end] = copied
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
