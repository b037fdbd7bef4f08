"""params.yaml as a whole, and what is said when it cannot be used."""

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from atnet.config.analysis import AnalyseConfig
from atnet.config.data import DataConfig, FoldersConfig, SplitConfig, ValidateConfig
from atnet.config.modelling import (
    BaselineConfig,
    EvaluateConfig,
    TokenizeConfig,
    TrackingConfig,
    TrainConfig,
    VectorsConfig,
)
from atnet.config.monitoring import MonitorConfig
from atnet.config.release import ReleaseConfig
from atnet.config.section import Section
from atnet.config.tuning import TuneConfig, check_vectors_stay
from atnet.errors import ConfigurationError


class Params(Section):
    """All of params.yaml."""

    folders: FoldersConfig
    data: DataConfig
    validate_: Annotated[ValidateConfig, Field(alias="validate")]
    split: SplitConfig
    tokenize: TokenizeConfig
    vectors: VectorsConfig
    baseline: BaselineConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    tracking: TrackingConfig
    release: ReleaseConfig
    analyse: AnalyseConfig
    tune: TuneConfig
    monitor: MonitorConfig

    @model_validator(mode="after")
    def _has_labels(self) -> "Params":
        columns, rule = self.data.columns, self.validate_.label_from_rating
        if rule is None and columns.label is None:
            raise ValueError("data.columns.label is null: name the label column, or set validate.label_from_rating")
        if rule is not None and columns.rating is None:
            raise ValueError("validate.label_from_rating needs data.columns.rating")
        return self

    @model_validator(mode="after")
    def _searches_what_a_trial_can_vary(self) -> "Params":
        check_vectors_stay(self.tune.space, self.train)
        return self


def parse_params(text: str, *, source: str = "params.yaml") -> Params:
    """Read params.yaml's text into typed sections.

    Raises:
        ConfigurationError: naming every faulty key and, for an unknown one, the nearest known name.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source} holds no sections. Restore it with `git checkout {source}`.")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {_describe(problem)}" for problem in error.errors())
        raise ConfigurationError(
            f"{source} cannot be used:\n{problems}\nMend it; docs/parameters.md lists every key with unit and meaning."
        ) from error


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "params"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggestion(problem['loc'])}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (found {problem['input']!r})" if problem["type"] != "value_error" else f"{key}: {message}"


def _suggestion(location: tuple[int | str, ...]) -> str:
    known = list(_known_names(Params, location[:-1]))
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else f" (known here: {', '.join(known)})"


def _known_names(section: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[str]:
    for part in path:
        field = next((f for n, f in section.model_fields.items() if (f.alias or n) == part), None)
        inner = field and next((t for t in (field.annotation, *get_args(field.annotation)) if _is_section(t)), None)
        if inner is None:
            return
        section = inner
    yield from (field.alias or name for name, field in section.model_fields.items())


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
