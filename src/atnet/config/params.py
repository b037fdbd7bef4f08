"""Read params.yaml, with messages that name each invalid key."""

import difflib
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from atnet.config.analyze import AnalyzeConfig
from atnet.config.engine import EngineConfig
from atnet.config.monitoring import MonitorConfig
from atnet.config.operate import OperateConfig
from atnet.config.release import ReleaseConfig
from atnet.config.scoring import ScoreConfig
from atnet.config.serving import ServeConfig
from atnet.config.stages import StageParams
from atnet.config.tracking import TrackingConfig
from atnet.config.tune import TuneConfig, check_vector_dimensions
from atnet.config.yaml_text import parse_yaml, yaml_problem
from atnet.errors import ConfigurationError
from atnet.files import NO_FILE, PARAMS_FILE, optional_file

MAX_VOCABULARY = 1_000_000
"""Word n-grams are numbered by the ids of their words, which leaves room for this many."""


ALTERNATIVE = re.compile(r"constrained-\w+|literal\[.*\]|list\[.*\]")
"""What pydantic appends to the location of a value that may have one of several types."""
EXPONENT_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d{1,2}")


class Params(StageParams):
    """All of params.yaml: the sections of the stages, then those of the commands."""

    engine: EngineConfig
    tracking: TrackingConfig
    release: ReleaseConfig
    serve: ServeConfig
    score: ScoreConfig
    monitor: MonitorConfig
    operate: OperateConfig
    analyze: AnalyzeConfig
    tune: TuneConfig

    @model_validator(mode="after")
    def _has_labels(self) -> "Params":
        columns, rule = self.data.columns, self.validate_.label_from_rating
        if rule is None and columns.label is None:
            raise ValueError(
                "data.columns.label is null: set it to the label column, or set validate.label_from_rating"
            )
        if rule is not None and columns.rating is None:
            raise ValueError("validate.label_from_rating needs data.columns.rating")
        return self

    @model_validator(mode="after")
    def _pretrained_vectors_can_be_used(self) -> "Params":
        if optional_file(self.vectors.pretrained) is None:
            return self
        if self.tokenize.kind != "word":
            raise ValueError("vectors.pretrained contains vectors of words: set tokenize.kind to word")
        if self.train.attention == "published" or not self.train.initialize_from_vectors:
            raise ValueError(
                "vectors.pretrained would not be used: set train.initialize_from_vectors to true and train.attention "
                f"to another value than published, or vectors.pretrained to {NO_FILE}"
            )
        if self.tokenize.vocabulary_size + self.vectors.pretrained_words > MAX_VOCABULARY:
            raise ValueError(
                f"tokenize.vocabulary_size and vectors.pretrained_words add up to more than {MAX_VOCABULARY:,} words"
            )
        return self

    @model_validator(mode="after")
    def _search_space_is_valid(self) -> "Params":
        check_vector_dimensions(self.tune.space, self.train)
        return self


def load_params(path: Path | str = PARAMS_FILE) -> Params:
    """Read params.yaml.

    Raises:
        ConfigurationError: if it is missing or invalid.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{path} is missing. Run the command in the project's folder.") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8."
        ) from None
    return parse_params(text, source=str(path))


def parse_params(text: str, *, source: str = "params.yaml") -> Params:
    """Parse the text of params.yaml into typed sections.

    Raises:
        ConfigurationError: with every invalid key and, for an unknown key, the closest known one.
    """
    try:
        values = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is not valid YAML: {yaml_problem(error)}. Fix that line.") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source} has no sections. Restore it with `git checkout {source}`.")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {text}" for text in _describe_problems(error))
        raise ConfigurationError(
            f"{source} is invalid:\n{problems}\n"
            "Edit the file; docs/parameters.md lists every key with its type and meaning."
        ) from error


def _describe_problems(error: ValidationError) -> list[str]:
    """Describe every problem; the alternatives of one key, such as a number or `auto`, on one line."""
    alternatives: dict[tuple[int | str, ...], list[Any]] = {}
    for problem in error.errors():
        location = problem["loc"]
        key = location[:-1] if location and ALTERNATIVE.fullmatch(str(location[-1])) else location
        alternatives.setdefault(key, []).append({**problem, "loc": key})
    return [
        describe_problem({**problems[0], "msg": ", or: ".join(problem["msg"] for problem in problems)}, Params)
        for problems in alternatives.values()
    ]


def describe_problem(problem: Any, root: type[BaseModel]) -> str:
    """Describe one problem of a pydantic ValidationError; for an unknown key, suggest the nearest known one."""
    key = ".".join(str(part) for part in problem["loc"]) or "file"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggestion(problem['loc'], root)}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message} (found {problem['input']!r}{_decimal_hint(problem['input'])})"


def _decimal_hint(value: Any) -> str:
    """Return how to write a number such as 1e-3, which is a text in YAML 1.1."""
    if not isinstance(value, str) or EXPONENT_NUMBER.fullmatch(value) is None:
        return ""
    return f"; write {Decimal(value):f}"


def _suggestion(location: tuple[int | str, ...], root: type[BaseModel]) -> str:
    keys = list(_section_keys(root, location[:-1]))
    closest = difflib.get_close_matches(str(location[-1]), keys, n=1, cutoff=0.5)
    return f" (did you mean {closest[0]}?)" if closest else f" (keys of this section: {', '.join(keys)})"


def _section_keys(section: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[str]:
    for part in path:
        field = next((f for n, f in section.model_fields.items() if (f.alias or n) == part), None)
        inner = field and next((t for t in (field.annotation, *get_args(field.annotation)) if _is_section(t)), None)
        if inner is None:
            return
        section = inner
    yield from (field.alias or name for name, field in section.model_fields.items())


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
