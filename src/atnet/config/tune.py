"""Section `tune`: which parameters `atnet tune` varies, what it optimizes, and when it stops."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, field_validator
from pydantic import model_validator as section_validator

from atnet.config.section import Section
from atnet.config.stages import TrainConfig

ParamValue = bool | int | float | str | None
SECTION = "train."
DIMENSION_KEYS: dict[str, frozenset[str]] = {
    "range": frozenset({"low", "high", "log"}),
    "choices": frozenset({"choices"}),
}
NOT_TUNABLE = {
    "train.seed": "the best of several seeds is luck and would not hold on other texts",
    "train.workers": "it changes how fast a model is trained, not what it learns; a trial trains with one worker",
}


class RangeConfig(Section):
    """Numbers between two bounds."""

    low: float
    """Smallest value, included."""
    high: float
    """Largest value, included."""
    log: bool
    """Sample on a logarithmic scale: as many values between 0.001 and 0.01 as between 0.01 and 0.1."""


class ChoicesConfig(Section):
    """A list of values."""

    choices: Annotated[list[ParamValue], Field(min_length=2)]


def _dimension_kind(value: Any) -> str:
    has_choices = isinstance(value, ChoicesConfig) or (isinstance(value, dict) and "choices" in value)
    return "choices" if has_choices else "range"


Dimension = Annotated[
    Annotated[RangeConfig, Tag("range")] | Annotated[ChoicesConfig, Tag("choices")], Discriminator(_dimension_kind)
]


class PruningConfig(Section):
    """When a trial is stopped early: its objective is worse than the median of the other trials at the same epoch."""

    startup_trials: Annotated[int, Field(ge=1)]
    """Trials that must have ended before any is pruned."""
    warmup_epochs: Annotated[int, Field(ge=1)]
    """Epochs before a trial can be pruned."""


class TuneConfig(Section):
    """The search for better values of section `train`, on the validation split only."""

    objective: Literal["validation_loss", "validation_accuracy"]
    """Evaluated at the epoch whose weights training keeps, the one with the lowest validation loss."""
    trials: Annotated[int, Field(ge=1)] | None
    """Trials of the whole study, the current values included; null: no limit."""
    minutes: Annotated[float, Field(gt=0)] | None
    """Minutes per call; null: no limit."""
    seed: int
    """Seed of the sampler."""
    pruning: PruningConfig | None
    """Null: never prune."""
    storage: str | None
    """Database of a study that several machines share, without a password; null: a file below .atnet/tune."""
    worker_timeout_seconds: Annotated[float, Field(ge=2)]
    """Seconds without a sign of life after which another machine repeats a machine's trials; with storage only."""
    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    """Parameter of section `train` -> its range or choices; the current value is always part of them."""

    @field_validator("space", mode="before")
    @classmethod
    def _check_names_and_keys(cls, space: Any) -> Any:
        for name, entry in space.items() if isinstance(space, dict) else ():
            _check_name(str(name))
            _check_keys(name, entry)
        return space

    @field_validator("space")
    @classmethod
    def _check_values(cls, space: dict[str, Dimension]) -> dict[str, Dimension]:
        for name, entry in space.items():
            _check_dimension(name, entry)
        return space

    @section_validator(mode="after")
    def _check_limits(self) -> "TuneConfig":
        if self.trials is None and self.minutes is None:
            raise ValueError("trials and minutes are both null: set at least one, or the search never ends")
        return self


def check_vector_dimensions(space: Mapping[str, Dimension], train: TrainConfig) -> None:
    """Refuse to vary the embedding dimensions while training may start from the word vectors.

    Raises:
        ValueError: with what to change.
    """
    varied = "train.initialize_from_vectors" in space
    if "train.embedding_dimensions" in space and (train.initialize_from_vectors or varied):
        raise ValueError(
            "tune.space: train.embedding_dimensions cannot be tuned while train.initialize_from_vectors may be true: "
            "the stage `vectors` wrote vectors of one size, and a trial does not fit new ones. "
            "Set train.initialize_from_vectors to false, or remove the key from tune.space"
        )


def numeric_type(name: str) -> type[int] | type[float] | None:
    """Return the numeric type of a parameter `train.…`; None if it is not a number."""
    types = _plain_types(TrainConfig.model_fields[name.removeprefix(SECTION)].annotation)
    return int if int in types else float if float in types else None


def _check_name(name: str) -> None:
    parameters = [f"{SECTION}{field}" for field in TrainConfig.model_fields]
    if name in NOT_TUNABLE:
        raise ValueError(f"{name} cannot be tuned: {NOT_TUNABLE[name]}")
    if name in parameters:
        return
    similar = difflib.get_close_matches(name, parameters, n=1, cutoff=0.5)
    hint = f"did you mean {similar[0]}?" if similar else "a trial trains a model; it does not repeat earlier stages"
    raise ValueError(f"{name} is not a parameter of section train ({hint})")


def _check_keys(name: str, entry: Any) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{name}: write {{ low, high, log }} or {{ choices }} (found {entry!r})")
    keys = DIMENSION_KEYS[_dimension_kind(entry)]
    for key in entry:
        if key not in keys:
            similar = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.5)
            hint = f"did you mean {similar[0]}?" if similar else f"known here: {', '.join(sorted(keys))}"
            raise ValueError(f"{name}.{key}: unknown key ({hint})")


def _check_dimension(name: str, entry: RangeConfig | ChoicesConfig) -> None:
    if isinstance(entry, ChoicesConfig):
        for value in entry.choices:
            _check_value(name, value)
        return
    number = numeric_type(name)
    if number is None:
        raise ValueError(f"{name} is not a number: write {{ choices: [...] }}")
    if entry.low >= entry.high:
        raise ValueError(f"{name}: low ({entry.low:g}) is not below high ({entry.high:g})")
    if entry.log and entry.low <= 0:
        raise ValueError(f"{name}: a range with log: true must start above 0 (found low {entry.low:g})")
    for value in (entry.low, entry.high):
        _check_value(name, int(value) if number is int and value.is_integer() else value)


def _check_value(name: str, value: ParamValue) -> None:
    field = TrainConfig.model_fields[name.removeprefix(SECTION)]
    # Annotated needs at least one annotation, and a field may have no bounds: hence the name.
    annotation: Any = Annotated[field.annotation, name, *field.metadata]
    try:
        TypeAdapter(annotation, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{name}: {error.errors()[0]['msg']} (found {value!r})") from None


def _plain_types(annotation: Any) -> set[Any]:
    inner = get_args(annotation)
    return {annotation}.union(*(_plain_types(argument) for argument in inner)) if inner else {annotation}
