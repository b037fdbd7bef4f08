"""How often a window counts as drifted: `python -m benchmarks.drift` prints the table of docs/monitoring.md.

A model of the default data without tweets; a reference of 2,000 held-out texts of the other domains; windows of texts
it has never seen: more of the same, a fifth of them tweets, all of them tweets. References and windows are drawn again
for each of several partitions of the unseen texts, so that one lucky reference does not decide. Draws
docs/drift-power.svg.

Letters in array names: N texts.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atnet.config import MonitorConfig
from atnet.monitoring.alarm import findings, significance_level
from atnet.monitoring.drift_statistics import compute_statistics, effects
from atnet.monitoring.mmd import Reduction, fit_reduction
from atnet.monitoring.null_distribution import NullDistribution, draw_null, p_values
from atnet.monitoring.row_features import RowFeatures, concatenate, text_features
from atnet.storage import load_params, read_json, write_json
from atnet.table import TEXT
from benchmarks.copied import ROOT
from benchmarks.drift_data import KEPT, DriftData, load_drift_data
from benchmarks.drift_tables import draw_power, drift_table, persistence_table

REFERENCE = 2000
SIZES = (50, 100, 300, 1000)
SHARES = (0.0, 0.2, 1.0)
WINDOWS = {0.0: 20, 0.2: 10, 1.0: 5}
"""Windows per partition, by the share of new texts."""


@dataclass(frozen=True, slots=True)
class Pools:
    """Features of all unseen texts."""

    usual: RowFeatures
    new: RowFeatures


@dataclass(frozen=True, slots=True)
class Bench:
    """A reference and what is fitted to it."""

    reference: RowFeatures
    reduction: Reduction | None
    null: NullDistribution
    level: float
    config: MonitorConfig


def run_cell(
    pools: Pools, config: MonitorConfig, rows: int, partition: int, windows: dict[float, int]
) -> list[dict[str, Any]]:
    """Draw a reference, then windows of one size; return what was found for each."""
    rng = np.random.default_rng([partition, rows])
    order = rng.permutation(len(pools.usual))
    reference = pools.usual.take(order[:REFERENCE])
    assert reference.pooled is not None
    reduction = fit_reduction(reference.pooled, rng)
    null = draw_null(reference, reduction, rows=rows, resamples=config.resamples, seed=partition)
    level = significance_level(config, rows=rows, reference_rows=REFERENCE)
    bench = Bench(reference, reduction, null, level, config)
    found = []
    for share, draws in windows.items():
        for draw in range(draws):
            new = round(share * rows)
            usual_rows = rng.choice(order[REFERENCE:], rows - new, replace=False)
            new_rows = rng.choice(len(pools.new), new, replace=False)
            window = concatenate(pools.usual.take(usual_rows), pools.new.take(new_rows))
            found.append({"share": share, **_judge(bench, window, rng, draw)})
    return found


def _judge(bench: Bench, window: RowFeatures, rng: np.random.Generator, draw: int) -> dict[str, Any]:
    compared = rng.permutation(len(bench.reference))[: len(bench.reference) - len(window)]
    joined = concatenate(window, bench.reference.take(compared))
    in_window = (np.arange(len(joined)) < len(window))[None]
    statistics = compute_statistics(joined, in_window, bench.reduction, seed=1000 + draw)
    values = {name: float(column[0]) for name, column in statistics.values.items()}
    p = p_values(values, bench.null)
    result = findings(effects(values), p, bench.config.effects, bench.level)
    return {
        "level": bench.level,
        "p": p.overall,
        "effects": effects(values),
        "each": dict(p.each),
        "significant": p.overall <= bench.level,
        "drifted": any(one.drifted for one in result),
    }


def collect(data: DriftData, config: MonitorConfig, partitions: int, windows: dict[float, int]) -> dict[str, Any]:
    """Run every cell; what an earlier run has finished is read from its file."""
    pools = Pools(*(text_features(part[TEXT].tolist(), data.predictor) for part in (data.usual, data.new)))
    results: dict[str, Any] = {}
    for rows in SIZES:
        for partition in range(partitions):
            path = KEPT / "results" / f"{rows}-{partition}.json"
            if not path.is_file():
                begun = time.perf_counter()
                write_json(path, run_cell(pools, config, rows, partition, windows))
                print(f"{rows} rows, partition {partition}: {time.perf_counter() - begun:.0f} s", flush=True)
            results[f"{rows}-{partition}"] = read_json(path)
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=10)
    parser.add_argument("--resamples", type=int, default=None, help="instead of monitor.resamples")
    arguments = parser.parse_args(argv)
    config = load_params(ROOT / "params.yaml").monitor
    if arguments.resamples:
        config = config.model_copy(update={"resamples": arguments.resamples})
    results = collect(load_drift_data(), config, arguments.partitions, dict(WINDOWS))
    print(drift_table(results, SIZES, SHARES))
    print()
    print(persistence_table(results, SIZES, SHARES, config.persistence))
    print(f"Drawn: {draw_power(results, SIZES)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
