"""Section of the search: what is varied, by which value it is judged, how long it may take."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, field_validator
from pydantic import model_validator as whole_validator

from atnet.config.section import Section
from atnet.config.stages import TrainConfig

Value = bool | int | float | str | None
SECTION = "train."
FORMS: dict[str, frozenset[str]] = {"range": frozenset({"low", "high", "log"}), "choices": frozenset({"choices"})}
NOT_SEARCHED = {"train.seed": "a seed is chance, and its best value would not hold on other texts"}


class RangeConfig(Section):
    """Numbers between two bounds."""

    low: float
    """Smallest value, included."""
    high: float
    """Largest value, included."""
    log: bool
    """Draw by the logarithm: as many values between 0.001 and 0.01 as between 0.01 and 0.1."""


class ChoicesConfig(Section):
    """Values to choose among."""

    choices: Annotated[list[Value], Field(min_length=2)]
    """The values."""


def _form(value: Any) -> str:
    return (
        "choices" if isinstance(value, ChoicesConfig) or (isinstance(value, dict) and "choices" in value) else "range"
    )


Dimension = Annotated[
    Annotated[RangeConfig, Tag("range")] | Annotated[ChoicesConfig, Tag("choices")], Discriminator(_form)
]


class PruningConfig(Section):
    """When a trial is given up: its value so far is worse than the median of the others at the same epoch."""

    startup_trials: Annotated[int, Field(ge=1)]
    """Trials that must have ended before one is given up."""
    warmup_epochs: Annotated[int, Field(ge=1)]
    """Epochs that every trial may have."""


class TuneConfig(Section):
    """The search for better values of section `train`, on the validation split only."""

    objective: Literal["validation_loss", "validation_accuracy"]
    """What is made best: of the epoch that training would keep, the one of the lowest validation loss."""
    trials: Annotated[int, Field(ge=1)] | None
    """Trials of the whole search, the current values included; null: no limit."""
    minutes: Annotated[float, Field(gt=0)] | None
    """Minutes of one call; null: no limit."""
    seed: int
    """Of the draws."""
    pruning: PruningConfig | None
    """When a trial is given up; null: never."""
    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    """Parameter of section `train` -> its range or its choices; the current value always belongs to them."""

    @field_validator("space", mode="before")
    @classmethod
    def _known_names(cls, space: Any) -> Any:
        for name, entry in space.items() if isinstance(space, dict) else ():
            _check_name(str(name))
            _check_form(name, entry)
        return space

    @field_validator("space")
    @classmethod
    def _possible_values(cls, space: dict[str, Dimension]) -> dict[str, Dimension]:
        for name, entry in space.items():
            _check_values(name, entry)
        return space

    @whole_validator(mode="after")
    def _ends(self) -> "TuneConfig":
        if self.trials is None and self.minutes is None:
            raise ValueError("trials and minutes are both null: give the search an end")
        return self


def check_vector_dimensions(space: Mapping[str, Dimension], train: TrainConfig) -> None:
    """Refuse to vary the width of the word vectors while training starts from them.

    Raises:
        ValueError: with what to do.
    """
    searched = "train.initialize_from_vectors" in space
    if "train.embedding_dimensions" in space and (train.initialize_from_vectors or searched):
        raise ValueError(
            "tune.space: train.embedding_dimensions cannot be searched while train.initialize_from_vectors may be true: "
            "the stage `vectors` has made vectors of one width, and no trial makes them anew. "
            "Set train.initialize_from_vectors to false, or take the key out of tune.space"
        )


def number_kind(name: str) -> type[int] | type[float] | None:
    """Tell whether a parameter `train.…` holds whole numbers or any; None where it holds neither."""
    kinds = _plain_types(TrainConfig.model_fields[name.removeprefix(SECTION)].annotation)
    return int if int in kinds else float if float in kinds else None


def _check_name(name: str) -> None:
    known = [f"{SECTION}{field}" for field in TrainConfig.model_fields]
    if name in NOT_SEARCHED:
        raise ValueError(f"{name} is not searched: {NOT_SEARCHED[name]}")
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "tokens and vectors are not remade in a trial"
    raise ValueError(f"{name} is no parameter of section train ({hint})")


def _check_form(name: str, entry: Any) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{name}: give {{ low, high, log }} or {{ choices }} (found {entry!r})")
    known = FORMS[_form(entry)]
    for key in entry:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
            raise ValueError(f"{name}.{key}: unknown key ({hint})")


def _check_values(name: str, entry: RangeConfig | ChoicesConfig) -> None:
    if isinstance(entry, ChoicesConfig):
        for value in entry.choices:
            _check_allowed(name, value)
        return
    kind = number_kind(name)
    if kind is None:
        raise ValueError(f"{name} holds no number: give {{ choices: [...] }}")
    if entry.low >= entry.high:
        raise ValueError(f"{name}: low ({entry.low:g}) is not below high ({entry.high:g})")
    if entry.log and entry.low <= 0:
        raise ValueError(f"{name}: a range with log: true begins above 0 (found low {entry.low:g})")
    for value in (entry.low, entry.high):
        _check_allowed(name, int(value) if kind is int and value.is_integer() else value)


def _check_allowed(name: str, value: Value) -> None:
    field = TrainConfig.model_fields[name.removeprefix(SECTION)]
    # The name is there because Annotated wants more than a type, and a field may have no bounds.
    kind: Any = Annotated[field.annotation, name, *field.metadata]
    try:
        TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{name}: {error.errors()[0]['msg']} (found {value!r})") from None


def _plain_types(annotation: Any) -> set[Any]:
    inner = get_args(annotation)
    return {annotation}.union(*(_plain_types(one) for one in inner)) if inner else {annotation}
