"""How often the gate promotes, by the true gain: `python -m benchmarks.gate_power` draws docs/releasing-power.svg.

Two models are simulated that err on much the same texts: a text has a difficulty both share, and each model adds an
error of its own. With the default agreement they differ in being right on about 11 % of the rows, as two trainings of
one recipe on slightly different data do. Prints the table that stands in docs/releasing.md.

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
from atnet.release.gate.significance import duel

matplotlib.use("svg")
from matplotlib import pyplot

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "releasing-power.svg"
GAINS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04)
ROWS = (500, 1000, 2000, 5000)
COLORS = ("#9db8d6", "#5f8fc4", "#2563a8", "#123a68")


@dataclass(frozen=True, slots=True)
class Scene:
    """What is simulated."""

    rows: int = 2000
    accuracy: float = 0.82
    """Of the champion."""
    gain: float = 0.0
    """True accuracy of the challenger minus that of the champion."""
    agreement: float = 0.85
    """Correlation of the two models' troubles with a text, 0 to 1."""
    shares: tuple[float, ...] = (0.5, 0.5)
    """Of the classes."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One test split and what both models say about it: (N,) class ids."""

    actual: np.ndarray
    challenger: np.ndarray
    champion: np.ndarray


def draw(scene: Scene, rng: np.random.Generator) -> Draw:
    """Draw a test split; where both models are wrong about a text, they give it the same wrong label."""
    classes, normal = len(scene.shares), NormalDist()
    actual_N = rng.choice(classes, size=scene.rows, p=scene.shares)
    wrong_N = (actual_N + rng.integers(1, classes, size=scene.rows)) % classes
    difficulty_N = rng.normal(size=scene.rows)
    given = []
    for accuracy in (scene.accuracy + scene.gain, scene.accuracy):
        own_N = rng.normal(size=scene.rows)
        trouble_N = np.sqrt(scene.agreement) * difficulty_N + np.sqrt(1 - scene.agreement) * own_N
        given.append(np.where(trouble_N < normal.inv_cdf(accuracy), actual_N, wrong_N))
    return Draw(actual_N, *given)


def promotions(
    scene: Scene, trials: int, *, samples: int = 2000, confidence: float = 0.95, margin: float = 0.0, seed: int = 13
) -> int:
    """Count the trials in which the lower bound lies above minus the margin: 0 for rule superior."""
    promoted = 0
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial])
        one = draw(scene, rng)
        found = duel(
            one.actual,
            one.challenger,
            one.champion,
            len(scene.shares),
            samples=samples,
            confidence=confidence,
            rng=rng,
        )
        promoted += found.low > -margin
    return promoted


def plain_promotions(scene: Scene, trials: int, *, samples: int = 2000, seed: int = 13) -> int:
    """Count the same trials with the plain bias-corrected percentile, as reports use it."""
    promoted = 0
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial])
        one = draw(scene, rng)
        # The low end of a two-sided 90 % interval is the one-sided bound at 95 %.
        found = compare(
            one.actual, one.challenger, one.champion, len(scene.shares), samples=samples, confidence=0.9, rng=rng
        )
        promoted += found.macro_f1.low > 0
    return promoted


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400, help="per point of the curve")
    parser.add_argument("--null-trials", type=int, default=4000, help="where there is no true difference")
    arguments = parser.parse_args(argv)
    rates = {rows: [_rate(rows, gain, arguments) for gain in GAINS] for rows in ROWS}
    print(_table(rates))
    for name, scene in _other_scenes().items():
        share = promotions(scene, arguments.null_trials) / arguments.null_trials
        print(f"no true difference, {name}: promoted in {share:.1%} of {arguments.null_trials}")
    for name, scene in {"2,000 rows": Scene(), "500 rows": Scene(rows=500)}.items():
        share = plain_promotions(scene, arguments.null_trials) / arguments.null_trials
        print(f"no true difference, plain percentiles, {name}: {share:.1%} of {arguments.null_trials}")
    _picture(rates)
    print(f"Drawn: {PICTURE}")
    return 0


def _rate(rows: int, gain: float, arguments: argparse.Namespace) -> float:
    trials = arguments.trials if gain else arguments.null_trials
    return promotions(Scene(rows=rows, gain=gain), trials) / trials


def _other_scenes() -> dict[str, Scene]:
    usual = Scene()
    return {
        "models that agree more (7 % of rows)": replace(usual, agreement=0.95),
        "one label in ten rows": replace(usual, shares=(0.9, 0.1)),
        "six labels, 1,000 rows": replace(usual, rows=1000, shares=(0.3, 0.3, 0.2, 0.1, 0.07, 0.03)),
        "200 rows": replace(usual, rows=200),
    }


def _table(rates: dict[int, list[float]]) -> str:
    head = "| true gain, points | " + " | ".join(f"{rows:,} rows" for rows in rates) + " |"
    lines = [head, "|---:|" + "---:|" * len(rates)]
    for place, gain in enumerate(GAINS):
        cells = " | ".join(f"{found[place]:.1%}" for found in rates.values())
        lines.append(f"| {100 * gain:.1f} | {cells} |")
    return "\n".join(lines)


def _picture(rates: dict[int, list[float]]) -> None:
    # No date and no random ids: the same numbers give the same file.
    matplotlib.rcParams |= {"svg.hashsalt": "gate", "svg.fonttype": "none", "font.size": 10}
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for (rows, found), color in zip(rates.items(), COLORS, strict=True):
        axes.plot([100 * gain for gain in GAINS], found, marker="o", color=color, label=f"{rows:,} test rows")
    axes.axhline(0.05, color="#5f6c7b", linestyle="--", linewidth=1)
    axes.annotate("5 %", (4.0, 0.05), xytext=(0, 4), textcoords="offset points", ha="right", color="#5f6c7b")
    axes.set(
        xlabel="true gain over the champion, points of accuracy", ylabel="promoted under rule superior", ylim=(0, 1.02)
    )
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
