"""How often the gate promotes, by the true gain: `python -m benchmarks.gate_power` draws docs/releasing-power.svg.

Two models are simulated that make much the same errors: each text has a difficulty for both, and each model adds
its own noise. With the default agreement exactly one of them is right on about 11 % of the rows, as with two
trainings of one recipe on slightly different data. The printed table is the one in docs/releasing.md.

Letters in array names: N rows, C classes.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist

import matplotlib
import numpy as np

from atnet.evaluation.bootstrap import compare
from atnet.evaluation.metrics import Ints
from atnet.release.gate.significance import Resampling, compare_paired

matplotlib.use("svg")
from matplotlib import pyplot

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "releasing-power.svg"
GAINS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04)
ROWS = (500, 1000, 2000, 5000)
COLORS = ("#9db8d6", "#5f8fc4", "#2563a8", "#123a68")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated."""

    rows: int = 2000
    accuracy: float = 0.82
    """Of the champion."""
    gain: float = 0.0
    """True accuracy of the challenger minus that of the champion."""
    agreement: float = 0.85
    """Correlation between the two models' difficulty with a text, 0 to 1."""
    class_fractions: tuple[float, ...] = (0.5, 0.5)


@dataclass(frozen=True, slots=True)
class SimulatedSplit:
    """One test split with both models' predictions, as class ids."""

    actual_N: Ints
    challenger_N: Ints
    champion_N: Ints


def simulate(scenario: Scenario, rng: np.random.Generator) -> SimulatedSplit:
    """Draw a test split; where both models are wrong about a text, they predict the same wrong label."""
    classes, normal = len(scenario.class_fractions), NormalDist()
    actual_N = rng.choice(classes, size=scenario.rows, p=scenario.class_fractions)
    wrong_N = (actual_N + rng.integers(1, classes, size=scenario.rows)) % classes
    difficulty_N = rng.normal(size=scenario.rows)
    predicted = []
    for accuracy in (scenario.accuracy + scenario.gain, scenario.accuracy):
        noise_N = rng.normal(size=scenario.rows)
        hardness_N = np.sqrt(scenario.agreement) * difficulty_N + np.sqrt(1 - scenario.agreement) * noise_N
        predicted.append(np.where(hardness_N < normal.inv_cdf(accuracy), actual_N, wrong_N))
    return SimulatedSplit(actual_N, *predicted)


def promotions(
    scenario: Scenario,
    trials: int,
    *,
    samples: int = 2000,
    confidence: float = 0.95,
    margin: float = 0.0,
    seed: int = 13,
) -> int:
    """Count the trials whose lower bound is above minus the margin; the margin of rule superiority is 0."""
    promoted = 0
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial])
        split = simulate(scenario, rng)
        comparison = compare_paired(
            split.actual_N,
            split.challenger_N,
            split.champion_N,
            len(scenario.class_fractions),
            Resampling(samples, confidence),
            rng,
        )
        promoted += comparison.low > -margin
    return promoted


def plain_promotions(scenario: Scenario, trials: int, *, samples: int = 2000, seed: int = 13) -> int:
    """Count the promotions in the same trials with the plain bias-corrected percentile, which reports use."""
    promoted = 0
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial])
        split = simulate(scenario, rng)
        # The low end of a two-sided 90 % interval is the one-sided bound at 95 %.
        comparison = compare(
            split.actual_N,
            split.challenger_N,
            split.champion_N,
            len(scenario.class_fractions),
            samples=samples,
            confidence=0.9,
            rng=rng,
        )
        promoted += comparison.macro_f1.low > 0
    return promoted


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400, help="per point of the curve")
    parser.add_argument("--null-trials", type=int, default=4000, help="with no true difference")
    arguments = parser.parse_args(argv)
    rates = {rows: [_rate(rows, gain, arguments) for gain in GAINS] for rows in ROWS}
    print(_table(rates))
    for name, scenario in _other_scenarios().items():
        fraction = promotions(scenario, arguments.null_trials) / arguments.null_trials
        print(f"no true difference, {name}: promoted in {fraction:.1%} of {arguments.null_trials}")
    for name, scenario in {"2,000 rows": Scenario(), "500 rows": Scenario(rows=500)}.items():
        fraction = plain_promotions(scenario, arguments.null_trials) / arguments.null_trials
        print(f"no true difference, plain percentiles, {name}: {fraction:.1%} of {arguments.null_trials}")
    _draw_figure(rates)
    print(f"Figure: {FIGURE}")
    return 0


def _rate(rows: int, gain: float, arguments: argparse.Namespace) -> float:
    trials = arguments.trials if gain else arguments.null_trials
    return float(promotions(Scenario(rows=rows, gain=gain), trials) / trials)


def _other_scenarios() -> dict[str, Scenario]:
    default = Scenario()
    return {
        "models that agree more (7 % of rows)": replace(default, agreement=0.95),
        "one label in ten rows": replace(default, class_fractions=(0.9, 0.1)),
        "six labels, 1,000 rows": replace(default, rows=1000, class_fractions=(0.3, 0.3, 0.2, 0.1, 0.07, 0.03)),
        "200 rows": replace(default, rows=200),
    }


def _table(rates: dict[int, list[float]]) -> str:
    header = "| true gain, points | " + " | ".join(f"{rows:,} rows" for rows in rates) + " |"
    lines = [header, "|---:|" + "---:|" * len(rates)]
    for position, gain in enumerate(GAINS):
        cells = " | ".join(f"{row_rates[position]:.1%}" for row_rates in rates.values())
        lines.append(f"| {100 * gain:.1f} | {cells} |")
    return "\n".join(lines)


def _draw_figure(rates: dict[int, list[float]]) -> None:
    # No date and no random ids: the same numbers give the same file.
    matplotlib.rcParams |= {"svg.hashsalt": "gate", "svg.fonttype": "none", "font.size": 10}
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for (rows, row_rates), color in zip(rates.items(), COLORS, strict=True):
        axes.plot([100 * gain for gain in GAINS], row_rates, marker="o", color=color, label=f"{rows:,} test rows")
    axes.axhline(0.05, color="#5f6c7b", linestyle="--", linewidth=1)
    axes.annotate("5 %", (4.0, 0.05), xytext=(0, 4), textcoords="offset points", ha="right", color="#5f6c7b")
    axes.set(
        xlabel="true gain over the champion, points of accuracy",
        ylabel="promoted under rule superiority",
        ylim=(0, 1.02),
    )
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(FIGURE, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
