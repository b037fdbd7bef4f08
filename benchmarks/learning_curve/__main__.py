"""Accuracy over the number of training rows: `python -m benchmarks.learning_curve --vectors glove.txt`.

Datasets: the default data, and the public ones in the folder that ATNET_DATASETS names. For each size, some training
rows are drawn, and a quarter as many validation rows; every model learns from the same rows and is scored on the whole
test split. Pretrained vectors are yours to name: the project downloads none. Each finished cell is kept under
.atnet/benchmarks/learning_curve, so an interrupted run continues. Prints Markdown, draws docs/learning-curve.svg.
"""

import argparse
import hashlib
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from atnet.config import Params
from atnet.environment import prepare_process
from atnet.errors import AtnetError, DataFileError
from atnet.file_hashes import file_md5
from atnet.files import NO_FILE
from benchmarks.accuracy.datasets import DEFAULT, VARIABLE, Dataset, locate_datasets
from benchmarks.learning_curve.cells import ALL, DRAWS, SIZES, Cell, SplitData, cells, prepare
from benchmarks.learning_curve.curve import curve_table, draw_curve, score_cells
from benchmarks.learning_curve.models import FASTTEXT, MODELS, Setting
from benchmarks.measure import machine, versions
from benchmarks.project_copy import ROOT

FOLDER = ROOT / ".atnet" / "benchmarks" / "learning_curve"
FIGURE = ROOT / "docs" / "learning-curve.svg"
DATASETS = (DEFAULT, "trec", "toldbr_pt", "imdb50k")
PORTUGUESE = ("toldbr_pt",)
NAMES = [model.name for model in MODELS]
CORES = 2
CACHED_SECTIONS = ("data", "validate", "split", "tokenize", "vectors", "baseline", "train")


def main(argv: Sequence[str] | None = None) -> int:
    """Compute the missing cells, print the table and draw the plot; return 0, or 1 after an error message."""
    prepare_process()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    arguments = parse_arguments(argv)
    try:
        run(arguments)
    except AtnetError as error:
        print(f"{error}\nFinished cells are kept; run the same command again to continue.", file=sys.stderr)
        return 1
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    located = locate_datasets(arguments.sets, params, project=ROOT, folder=os.environ.get(VARIABLE))
    for name, advice in located.missing.items():
        print(f"{name} is skipped: {advice}", file=sys.stderr)
    datasets = [_prepare(dataset, _vectors_of(dataset, arguments)) for dataset in located.available]
    planned = [cell for cell in cells(datasets, arguments.models, arguments.sizes, arguments.draws) if _can_run(cell)]
    missing = list({cell.path: cell for cell in planned if not cell.path.is_file() and not arguments.show}.values())
    for number, cell in enumerate(missing, start=1):
        _compute(cell, f"[{number}/{len(missing)}]")
    curve = score_cells(planned)
    packages = versions("tensorflow-cpu", "tensorflow", "keras", "scikit-learn", "fasttext-wheel")
    print(f"{machine()}; {packages}; {arguments.draws} draws\n\n{curve_table(curve)}")
    if curve:
        FIGURE.parent.mkdir(exist_ok=True)
        draw_curve(curve, {data.name: len(data.tables["train"]) for data in datasets}, arguments.figure)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning_curve", description=__doc__)
    parser.add_argument("--vectors", type=Path, help="word vectors for the English sets")
    parser.add_argument("--vectors-pt", type=Path, help="word vectors for the Portuguese set")
    parser.add_argument("--sets", nargs="+", choices=DATASETS, default=list(DATASETS), help="default: all")
    parser.add_argument("--models", nargs="+", choices=NAMES, default=NAMES, help="default: all")
    parser.add_argument("--sizes", nargs="+", type=int, default=[*SIZES, ALL], help=f"training rows; {ALL}: all rows")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"default: {DRAWS}")
    parser.add_argument("--show", action="store_true", help="compute nothing; print and draw the finished cells")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="default: docs/learning-curve.svg")
    return parser.parse_args(argv)


def _vectors_of(dataset: Dataset, arguments: argparse.Namespace) -> Path | None:
    path = arguments.vectors_pt if dataset.name in PORTUGUESE else arguments.vectors
    if path is not None and not path.is_file():
        raise DataFileError(f"{path} is missing. Name a word-vector file, or leave the option out.")
    return None if path is None else Path(os.path.abspath(path))


def _prepare(dataset: Dataset, vectors: Path | None) -> SplitData:
    """Make the splits, in a folder whose name changes with the data, the vectors and the parameters."""
    content = dict(dataset.params)
    content["vectors"] = {**content["vectors"], "pretrained": str(vectors or NO_FILE)}
    digest = hashlib.sha256(yaml.safe_dump({name: content[name] for name in CACHED_SECTIONS}).encode())
    for path in (dataset.path, *([vectors] if vectors else [])):
        digest.update(file_md5(path).encode())
    folder = FOLDER / f"{dataset.name}-{digest.hexdigest()[:12]}"
    target = folder / content["data"]["path"]
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset.path, target)
    return prepare(dataset.name, Params.model_validate(content), folder)


def _can_run(cell: Cell) -> bool:
    has_vectors = cell.data.params.vectors.pretrained != str(NO_FILE)
    is_installed = cell.model.name != FASTTEXT or importlib.util.find_spec("fasttext") is not None
    return is_installed and (has_vectors or not cell.model.needs_vectors)


def _compute(cell: Cell, progress: str) -> None:
    params = cell.data.params
    if not cell.model.needs_vectors:
        vectors = params.vectors.model_copy(update={"pretrained": str(NO_FILE)})
        params = params.model_copy(update={"vectors": vectors})
    # All rows are the same rows in every draw: what is searched for one draw holds for the others.
    cache = cell.path.parent / f"{cell.size or 'all'}-{cell.draw if cell.size != ALL else 0}"
    started = time.perf_counter()
    predictions = cell.model.fit(cell.task(), Setting(params, params.train.seed + cell.draw, cache))
    seconds = time.perf_counter() - started
    cell.save(predictions, seconds)
    where = f"{cell.data.name}, {cell.size or 'all'} rows, draw {cell.draw}, {cell.model.name}"
    print(f"{progress} {where}: {seconds:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
