"""The error as a function of the number of training rows: error = floor + scale x rows ** -exponent.

Learning curves of many models have this form (Hestness et al. 2017; Viering & Loog 2023 on where it fails).

Letters in array names: P points of the curve.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from atnet.evaluation.metrics import Floats

EXPONENTS = (0.05, 2.0)
"""Below the lower end, a lower floor and a slower power are indistinguishable."""
GRID = np.geomspace(*EXPONENTS, 30)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """A curve that never rises and never falls below its floor."""

    floor: float
    scale: float
    exponent: float

    def error_at(self, rows: float) -> float:
        """Return the error rate after training on this many rows."""
        return float(self.floor + self.scale * rows**-self.exponent)

    def accuracy_at(self, rows: float) -> float:
        """Return the accuracy after training on this many rows."""
        return 1 - self.error_at(rows)


def fit_power_law(rows_P: Floats, errors_P: Floats) -> PowerLaw:
    """Fit by least squares, with floor and scale not negative.

    For a given exponent the other two are a linear problem. The exponent is searched on a grid and then between the
    neighbors of the best point, so no initial guess is needed and no local minimum is mistaken for the best.
    """
    # Relative to the largest, so that the columns of the linear problem have similar sizes.
    relative_P = rows_P / rows_P.max()

    def solve(exponent: float) -> tuple[Floats, float]:
        return nnls(np.stack([np.ones_like(relative_P), relative_P**-exponent], axis=1), errors_P)  # type: ignore[no-any-return]

    best = int(np.argmin([solve(exponent)[1] for exponent in GRID]))
    bounds = (GRID[max(best - 1, 0)], GRID[min(best + 1, len(GRID) - 1)])
    exponent = float(minimize_scalar(lambda value: solve(value)[1], bounds=bounds, method="bounded").x)
    (floor, scale), _ = solve(exponent)
    return PowerLaw(float(floor), float(scale * rows_P.max() ** exponent), exponent)
