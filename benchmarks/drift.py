"""How often a window counts as drifted: `python -m benchmarks.drift` prints the table of docs/monitoring.md.

A model of the default data without tweets; a reference of 2,000 held-out texts of the other domains; windows of unseen
texts: equal data, 20 % tweets, all tweets. References and windows are drawn again for each of several partitions of the
unseen texts, so that the result does not depend on one reference. Draws docs/drift-power.svg.

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
from atnet.monitoring.alarm import significance_level, statistic_results
from atnet.monitoring.drift_statistics import compute_statistics, effect_sizes
from atnet.monitoring.mmd import Reduction, fit_reduction
from atnet.monitoring.null_distribution import NullDistribution, draw_null, p_values
from atnet.monitoring.row_features import RowFeatures, concatenate, text_features
from atnet.schema import TEXT
from atnet.storage import load_params, read_json, write_json
from benchmarks.drift_data import RESULTS, DriftData, load_drift_data
from benchmarks.drift_tables import draw_power, drift_table, persistence_table
from benchmarks.project_copy import ROOT

REFERENCE = 2000
SIZES = (50, 100, 300, 1000)
SHARES = (0.0, 0.2, 1.0)
WINDOWS = {0.0: 100, 0.2: 50, 1.0: 20}
"""Windows per partition, by the share of new texts."""


@dataclass(frozen=True, slots=True)
class Pools:
    """Features of all unseen texts."""

    equal: RowFeatures
    new: RowFeatures


@dataclass(frozen=True, slots=True)
class DriftTest:
    """A reference, the reduction that is fitted to it, and the thresholds."""

    reference: RowFeatures
    reduction: Reduction | None
    null: NullDistribution
    level: float
    config: MonitorConfig


def run_cell(
    pools: Pools, config: MonitorConfig, rows: int, partition: int, windows: dict[float, int]
) -> list[dict[str, Any]]:
    """Draw a reference, then windows of one size; return the result of each."""
    rng = np.random.default_rng([partition, rows])
    order = rng.permutation(len(pools.equal))
    reference = pools.equal.take(order[:REFERENCE])
    assert reference.pooled is not None
    reduction = fit_reduction(reference.pooled, rng)
    null = draw_null(reference, reduction, rows=rows, resamples=config.null_samples, seed=partition)
    level = significance_level(config, rows=rows, reference_rows=REFERENCE)
    drift_test = DriftTest(reference, reduction, null, level, config)
    results = []
    for share, draws in windows.items():
        for draw in range(draws):
            new = round(share * rows)
            equal_rows = rng.choice(order[REFERENCE:], rows - new, replace=False)
            new_rows = rng.choice(len(pools.new), new, replace=False)
            window = concatenate(pools.equal.take(equal_rows), pools.new.take(new_rows))
            results.append({"share": share, **_test_window(drift_test, window, rng, draw)})
    return results


def _test_window(drift_test: DriftTest, window: RowFeatures, rng: np.random.Generator, draw: int) -> dict[str, Any]:
    compared = rng.permutation(len(drift_test.reference))[: len(drift_test.reference) - len(window)]
    joined = concatenate(window, drift_test.reference.take(compared))
    in_window = (np.arange(len(joined)) < len(window))[None]
    statistics = compute_statistics(joined, in_window, drift_test.reduction, seed=1000 + draw)
    values = {name: float(column[0]) for name, column in statistics.values.items()}
    p = p_values(values, drift_test.null)
    results = statistic_results(effect_sizes(values), p, drift_test.config.min_effects, drift_test.level)
    return {
        "level": drift_test.level,
        "p": p.overall,
        "effects": effect_sizes(values),
        "each": dict(p.each),
        "significant": p.overall <= drift_test.level,
        "drifted": any(result.drifted for result in results),
    }


def collect(data: DriftData, config: MonitorConfig, partitions: int, windows: dict[float, int]) -> dict[str, Any]:
    """Run every cell; finished cells are read from their files."""
    pools = Pools(*(text_features(part[TEXT].tolist(), data.predictor) for part in (data.equal, data.new)))
    results: dict[str, Any] = {}
    # All sizes of a partition first, so that an unfinished run has a table of all sizes too.
    for partition in range(partitions):
        for rows in SIZES:
            path = RESULTS / "results" / f"{rows}-{partition}.json"
            if not path.is_file():
                started = time.perf_counter()
                write_json(path, run_cell(pools, config, rows, partition, windows))
                print(f"{rows} rows, partition {partition}: {time.perf_counter() - started:.0f} s", flush=True)
            results[f"{rows}-{partition}"] = read_json(path)
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run every cell, print the tables, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--null-samples", type=int, default=None, help="instead of monitor.null_samples")
    arguments = parser.parse_args(argv)
    config = load_params(ROOT / "params.yaml").monitor
    if arguments.null_samples:
        config = config.model_copy(update={"null_samples": arguments.null_samples})
    results = collect(load_drift_data(), config, arguments.partitions, dict(WINDOWS))
    print(drift_table(results, SIZES, SHARES))
    print()
    print(persistence_table(results, SIZES, SHARES, config.persistence))
    print(f"Drawn: {draw_power(results, SIZES)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
