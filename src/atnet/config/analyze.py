"""Section `analyze`: learning curves and label issues."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from atnet.config.section import OpenFraction, PositiveNumber, Section


class AnalyzeConfig(Section):
    """The commands `atnet analyze ...`, which do not change what is trained or released."""

    output_folder: str
    train_fractions: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=3)]
    folds: Annotated[int, Field(ge=2)]
    ambiguous_rating: PositiveNumber
    bootstrap_samples: Annotated[int, Field(ge=100)]
    confidence: OpenFraction
    seed: int

    @field_validator("train_fractions")
    @classmethod
    def _check_increase(cls, fractions: list[float]) -> list[float]:
        if any(first >= second for first, second in pairwise(fractions)) or fractions[-1] != 1:
            raise ValueError("must increase and end with 1.0")
        return fractions
