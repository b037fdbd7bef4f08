"""How the error falls as the training texts grow: error = floor + scale x rows ** -exponent.

The form that learning curves of many models follow (Hestness et al. 2017; Viering & Loog 2023 on where it fails).

Letters in array names: P points of the curve.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from atnet.evaluation.metrics import Floats

EXPONENTS = (0.05, 2.0)
"""Below the lower end, a falling floor and a slow power look the same."""
GRID = np.geomspace(*EXPONENTS, 30)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """A curve that never rises and never falls below its floor."""

    floor: float
    scale: float
    exponent: float

    def error_at(self, rows: float) -> float:
        """Give the share of wrong answers after training on so many rows."""
        return float(self.floor + self.scale * rows**-self.exponent)


def fit_power_law(rows_P: Floats, errors_P: Floats) -> PowerLaw:
    """Fit by least squares, floor and scale not negative.

    For a given exponent the other two follow exactly; the exponent is searched on a grid and then between its
    neighbors, so that no start has to be guessed and no local minimum is taken for the best.
    """
    # Relative to the largest, the numbers of the linear part are of one size.
    relative_P = rows_P / rows_P.max()

    def solve(exponent: float) -> tuple[Floats, float]:
        return nnls(np.stack([np.ones_like(relative_P), relative_P**-exponent], axis=1), errors_P)  # type: ignore[no-any-return]

    best = int(np.argmin([solve(exponent)[1] for exponent in GRID]))
    bounds = (GRID[max(best - 1, 0)], GRID[min(best + 1, len(GRID) - 1)])
    exponent = float(minimize_scalar(lambda value: solve(value)[1], bounds=bounds, method="bounded").x)
    (floor, scale), _ = solve(exponent)
    return PowerLaw(float(floor), float(scale * rows_P.max() ** exponent), exponent)
