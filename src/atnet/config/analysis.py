"""Section of the analyses: how much more data would give, and which labels look wrong."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from atnet.config.section import OpenFraction, Section


class AnalyseConfig(Section):
    """The commands `atnet analyse …`, which look at the data and change nothing that is trained or released."""

    folder: str
    """Where the analyses write, relative to params.yaml; outside the stages' folders."""
    shares: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=3)]
    """Shares of the training texts on the learning curve, rising to 1; three or more, for the fit has three numbers."""
    folds: Annotated[int, Field(ge=2)]
    """Parts into which the rows are cut; each is judged by a model that has not seen it."""
    unsure_rating: Annotated[float, Field(gt=0)]
    """|rating| below which the people who rated a text count as unsure, in units of the rating."""
    bootstrap_samples: Annotated[int, Field(ge=100)]
    """Resamples behind every interval."""
    confidence: OpenFraction
    """Of every interval."""
    seed: int
    """Of the subsets, the folds and the resampling."""

    @field_validator("shares")
    @classmethod
    def _rising_to_one(cls, shares: list[float]) -> list[float]:
        if any(first >= second for first, second in pairwise(shares)) or shares[-1] != 1:
            raise ValueError("must rise and end with 1.0")
        return shares
