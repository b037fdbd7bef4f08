"""Compare AtNet with other classifiers trained from scratch: `python -m benchmarks.accuracy`.

Sets: the default data, and the public ones in the folder that ATNET_DATASETS names. Every training runs in a process
of its own on one core and is kept under .atnet/benchmarks/accuracy: a run that was cut short goes on where it stopped,
and only what a change of code or parameters touches is trained again. Prints Markdown.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from atnet.errors import AtnetError, StoreError
from benchmarks.accuracy import models
from benchmarks.accuracy.benchmark import Benchmark, ablate, compare
from benchmarks.accuracy.running import ONE_CORE, Faulty
from benchmarks.accuracy.sets import NAMES, VARIABLE, locate
from benchmarks.accuracy.tasks import is_installed
from benchmarks.accuracy.workshop import Workshop
from benchmarks.copied import ROOT, environment, project_copy
from benchmarks.measure import busy, machine, versions

CACHE = ROOT / ".atnet" / "benchmarks" / "accuracy"
PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "scikit-learn", "fasttext-wheel")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; give 0, or 1 with a message."""
    arguments = parsed(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with FileLock(CACHE / "lock", blocking=False), project_copy() as code:
            print(run(arguments, code))
    except Timeout:
        print(f"Another run of the benchmark works in {CACHE}. Wait for it, or end it.", file=sys.stderr)
        return 1
    except (AtnetError, Faulty) as error:
        print(f"{error}\nWhat was finished is kept; run the same command again to go on.", file=sys.stderr)
        return 1
    return 0


def run(arguments: argparse.Namespace, code: Path) -> str:
    """Do what the command line asks and give the Markdown."""
    params = yaml.safe_load((code / "params.yaml").read_text(encoding="utf-8"))
    located = locate(arguments.sets or NAMES, params, project=ROOT, folder=os.environ.get(VARIABLE))
    if located.missing and (arguments.sets or not located.found):
        raise StoreError("\n".join(f"{name}: {why}" for name, why in located.missing.items()))
    variables = {**environment(code), **ONE_CORE, "PYTHONPATH": os.pathsep.join([str(code / "src"), str(code)])}
    benchmark = Benchmark(Workshop.open(code, CACHE, variables), located.found, arguments.jobs)
    head = "; ".join([machine(), versions(*PACKAGES), busy()])
    first_seed = params["train"]["seed"]
    if arguments.ablation is not None:
        entrants = models.variants(arguments.ablation, first_seed=first_seed, seeds=arguments.seeds)
        parts = ablate(benchmark, entrants)
    else:
        entrants = models.entrants(
            arguments.models,
            first_seed=first_seed,
            seeds=arguments.seeds,
            seed_mode_seeds=arguments.seed_mode_seeds or arguments.seeds,
        )
        there = [entrant for entrant in entrants if is_installed(entrant.kind)]
        parts = compare(benchmark, there, test=arguments.test, again=arguments.again)
        if len(there) < len(entrants):
            parts.append("fastText is left out: `pip install --require-hashes -r requirements-benchmarks.lock` first.")
    missing = [f"{name} is left out: {why}" for name, why in located.missing.items()]
    return "\n\n".join([head, *parts, *missing])


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=NAMES, help="default: all that are there")
    parser.add_argument("--models", nargs="+", choices=models.TITLES, default=list(models.TITLES), help="default: all")
    parser.add_argument("--seeds", type=_positive, default=5, help="of AtNet and fastText (default: 5)")
    parser.add_argument("--seed-mode-seeds", type=_positive, help="of AtNet in seed mode (default: --seeds)")
    parser.add_argument("--jobs", type=_positive, default=1, help="processes side by side, one core each (default: 1)")
    parser.add_argument("--test", action="store_true", help="look at the test splits, once, and write it in the ledger")
    parser.add_argument("--again", action="store_true", help="with --test: look even where the ledger has an answer")
    parser.add_argument(
        "--ablation", nargs="*", choices=models.VARIANTS, metavar="VARIANT", help="variants of AtNet; none named: all"
    )
    arguments = parser.parse_args(argv)
    if arguments.ablation is not None and (arguments.test or arguments.again):
        parser.error("--ablation works on validation only; leave out --test and --again")
    return arguments


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
