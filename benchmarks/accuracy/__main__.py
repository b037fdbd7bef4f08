"""Compare AtNet with other classifiers trained from scratch: `python -m benchmarks.accuracy`.

Datasets: the default data, and the public ones in the folder that ATNET_DATASETS names. Every training is a DVC stage
in a copy of the project, on one core. The copies share a DVC cache under .atnet/benchmarks/accuracy: an interrupted
run continues where it stopped, and only what a change of code or parameters affects is trained again. Prints Markdown.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from atnet.config.yaml_text import parse_yaml
from atnet.errors import AtnetError, StoreError
from benchmarks.accuracy import models
from benchmarks.accuracy.compare import Benchmark, ablate, compare_models, compare_on_test
from benchmarks.accuracy.datasets import NAMES, VARIABLE, locate_datasets
from benchmarks.accuracy.processes import ONE_CORE, CommandError
from benchmarks.accuracy.runs import is_installed
from benchmarks.accuracy.workspace import Workspace
from benchmarks.measure import machine, system_load, versions
from benchmarks.project_copy import ROOT, command_environment, project_copy

FOLDER = ROOT / ".atnet" / "benchmarks" / "accuracy"
PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "scikit-learn", "fasttext-wheel")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 1 after an error message."""
    arguments = parse_arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with FileLock(FOLDER / "lock", blocking=False), project_copy() as snapshot:
            print(run(arguments, snapshot))
    except Timeout:
        print(f"Another run of the benchmark is using {FOLDER}. Wait for it, or stop it.", file=sys.stderr)
        return 1
    except (AtnetError, CommandError) as error:
        print(f"{error}\nFinished trainings are kept; run the same command again to continue.", file=sys.stderr)
        return 1
    return 0


def run(arguments: argparse.Namespace, snapshot: Path) -> str:
    """Run what the command line asks for and return Markdown."""
    params = parse_yaml((snapshot / "params.yaml").read_text(encoding="utf-8"))
    located = locate_datasets(arguments.sets or NAMES, params, project=ROOT, folder=os.environ.get(VARIABLE))
    if located.missing and (arguments.sets or not located.available):
        raise StoreError("\n".join(f"{name}: {advice}" for name, advice in located.missing.items()))
    environment = {**command_environment(snapshot), **ONE_CORE}
    benchmark = Benchmark(Workspace(snapshot, FOLDER, environment), located.available, arguments.jobs)
    head = "; ".join([machine(), versions(*PACKAGES), system_load()])
    parts = _parts(benchmark, arguments, first_seed=params["train"]["seed"])
    missing = [f"{name} is skipped: {advice}" for name, advice in located.missing.items()]
    return "\n\n".join([head, *parts, *missing])


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=NAMES, help="datasets (default: all that are there)")
    parser.add_argument("--models", nargs="+", choices=models.TITLES, default=list(models.TITLES), help="default: all")
    parser.add_argument("--vectors", type=Path, metavar="FILE", help="word vectors; without them that model is skipped")
    parser.add_argument("--seeds", type=_positive, default=5, help="of AtNet and fastText (default: 5)")
    parser.add_argument("--published-seeds", type=_positive, help="of AtNet as published (default: --seeds)")
    parser.add_argument("--jobs", type=_positive, default=1, help="parallel processes, one core each (default: 1)")
    parser.add_argument("--test", action="store_true", help="evaluate on the test splits and record it in the ledger")
    parser.add_argument("--again", action="store_true", help="with --test: even if the ledger has the result")
    parser.add_argument(
        "--ablation", nargs="*", metavar="VARIANT", help="variants of AtNet, of those with --vectors (default: all)"
    )
    arguments = parser.parse_args(argv)
    if arguments.ablation is not None and (arguments.test or arguments.again):
        parser.error("--ablation uses validation only; remove --test and --again")
    return arguments


def _parts(benchmark: Benchmark, arguments: argparse.Namespace, *, first_seed: int) -> list[str]:
    if arguments.ablation is not None:
        variants = models.ablation_variants(
            arguments.ablation, first_seed=first_seed, seeds=arguments.seeds, vectors=arguments.vectors
        )
        return ablate(benchmark, variants)
    published = arguments.published_seeds or arguments.seeds
    wanted = models.compared_models(
        arguments.models,
        first_seed=first_seed,
        seeds=arguments.seeds,
        published_seeds=published,
        vectors=arguments.vectors,
    )
    available = [model for model in wanted if is_installed(model.kind)]
    if arguments.test:
        parts = compare_on_test(benchmark, available, again=arguments.again, now=datetime.now(UTC))
    else:
        parts = compare_models(benchmark, available)
    if len(available) < len(wanted):
        parts.append("fastText is skipped: `pip install --require-hashes -r requirements-benchmarks.lock` first.")
    return parts


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
