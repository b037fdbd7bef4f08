"""The format of a behavior suite, a YAML file that users extend, and the cases it expands to."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from atnet.config import Section
from atnet.config.params import describe_problem
from atnet.config.yaml_text import parse_yaml, yaml_problem
from atnet.errors import ConfigurationError
from atnet.release.behavior.perturbations import PerturbationName, perturb

CheckListType = Literal["MFT", "INV", "DIR"]
"""Minimum functionality test, invariance test, directional expectation test."""
TEST_TYPES: tuple[CheckListType, ...] = get_args(CheckListType)
PLACEHOLDER = re.compile(r"\{(\w+)\}")
Texts = Annotated[list[str], Field(min_length=1)]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]


@dataclass(frozen=True, slots=True)
class Case:
    """One test case: a text with its label, or a text and its changed form."""

    suite: str
    test_type: CheckListType
    group: str
    texts: tuple[str, ...]
    """One text for an MFT case, otherwise the text and its changed form."""
    label: str | None
    """The model's label, mapped by the suite's `labels`; None if any label is accepted."""
    direction: Literal["up", "down"] | None = None
    """DIR cases: how the probability of the label must change."""
    min_change: float = 0.0
    """DIR cases: how much it must change at least."""


class MftGroup(Section):
    """Plain texts with one right label."""

    group: str
    """What the cases have in common."""
    label: str
    """The right label, as named in the suite."""
    texts: Texts


class InvGroup(Section):
    """Texts and changes that must not change the label: perturbations, other words for a placeholder, or pairs."""

    group: str
    """What the cases have in common."""
    perturbations: Annotated[list[PerturbationName], Field(min_length=1)] | None = None
    """Built-in perturbations, each applied to every text."""
    vary: str | None = None
    """A list of `words`: the text with its first word against the text with each other one."""
    texts: Texts | None = None
    pairs: Annotated[list[Pair], Field(min_length=1)] | None = None
    """Text and changed text, written by hand."""

    @model_validator(mode="after")
    def _has_one_form(self) -> "InvGroup":
        forms = [self.perturbations is not None, self.vary is not None, self.pairs is not None]
        if sum(forms) != 1 or (self.pairs is None) != (self.texts is not None):
            raise ValueError("give texts with perturbations, texts with vary, or pairs")
        return self


class DirGroup(Section):
    """Pairs of texts: from the first to the second, a label's probability must rise or fall."""

    group: str
    """What the cases have in common."""
    label: str
    """The label whose probability must change, as named in the suite."""
    direction: Literal["up", "down"]
    min_change: Annotated[float, Field(ge=0, lt=1)]
    """How much it must change at least."""
    pairs: Annotated[list[Pair], Field(min_length=1)]


class Suite(Section):
    """The cases of one language."""

    language: str
    labels: dict[str, str]
    """Label in this file -> label of the model."""
    words: dict[str, Texts] = Field(default={})
    """Lists that fill a `{placeholder}` in a text; a text expands to one case per word."""
    mft: list[MftGroup] = Field(default=[])
    inv: list[InvGroup] = Field(default=[])
    dir: list[DirGroup] = Field(default=[])

    @model_validator(mode="after")
    def _uses_known_names(self) -> "Suite":
        labels = {group.label for group in self.mft} | {group.label for group in self.dir}
        _refuse_unknown("label", labels, self.labels)
        varied = {group.vary for group in self.inv if group.vary is not None}
        placeholders = {name for text in self._texts() for name in PLACEHOLDER.findall(text)}
        _refuse_unknown("word list", varied | placeholders, self.words)
        return self

    @classmethod
    def load(cls, path: Path) -> "Suite":
        """Read a suite file.

        Raises:
            ConfigurationError: naming the file and the faulty key.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError):
            raise ConfigurationError(
                f"The behavior suite {path} does not exist. Correct release.behavior.suites in params.yaml."
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"The behavior suite {path} is not UTF-8 ({error}). Save it as UTF-8.") from error
        return parse_suite(text, source=str(path))

    def cases(self) -> list[Case]:
        """Expand every case, in the order of the file; a perturbation that changes nothing gives no case."""
        return [*self._mft_cases(), *self._inv_cases(), *self._dir_cases()]

    def _mft_cases(self) -> Iterator[Case]:
        for group in self.mft:
            for text in group.texts:
                for (filled,) in _fill((text,), self.words):
                    yield Case(self.language, "MFT", group.group, (filled,), self.labels[group.label])

    def _inv_cases(self) -> Iterator[Case]:
        for group in self.inv:
            for pair in self._inv_pairs(group):
                if pair[0] != pair[1]:
                    yield Case(self.language, "INV", group.group, pair, None)

    def _inv_pairs(self, group: InvGroup) -> Iterator[tuple[str, ...]]:
        if group.pairs is not None:
            for pair in group.pairs:
                yield from _fill(pair, self.words)
            return
        for text in group.texts or ():
            if group.vary is not None:
                yield from self._varied_pairs(text, group.vary)
                continue
            for (filled,) in _fill((text,), self.words):
                yield from ((filled, perturb(filled, name)) for name in group.perturbations or ())

    def _varied_pairs(self, text: str, words: str) -> Iterator[tuple[str, ...]]:
        first, *others = self.words[words]
        placeholder = f"{{{words}}}"
        for other in others:
            yield from _fill((text.replace(placeholder, first), text.replace(placeholder, other)), self.words)

    def _dir_cases(self) -> Iterator[Case]:
        for group in self.dir:
            for pair in group.pairs:
                for filled in _fill(pair, self.words):
                    label = self.labels[group.label]
                    yield Case(self.language, "DIR", group.group, filled, label, group.direction, group.min_change)

    def _texts(self) -> Iterator[str]:
        yield from (text for group in self.mft for text in group.texts)
        yield from (text for group in self.inv for text in group.texts or ())
        yield from (text for group in self.inv for pair in group.pairs or () for text in pair)
        yield from (text for group in self.dir for pair in group.pairs for text in pair)


def parse_suite(text: str, *, source: str) -> Suite:
    """Parse the text of a suite file.

    Raises:
        ConfigurationError: naming the source and every faulty key.
    """
    try:
        values: Any = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"The behavior suite {source} is not valid YAML: {yaml_problem(error)}. Fix that line."
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"The behavior suite {source} has no sections. docs/releasing.md shows the format.")
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {describe_problem(problem, Suite)}" for problem in error.errors())
        raise ConfigurationError(
            f"The behavior suite {source} cannot be used:\n{problems}\n"
            "Edit the file; docs/releasing.md shows the format."
        ) from error


def _fill(texts: Sequence[str], words: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Fill the placeholders with every combination of words; the same placeholder gets the same word in all texts."""
    names = sorted({name for text in texts for name in PLACEHOLDER.findall(text)})
    for combination in itertools.product(*(words[name] for name in names)):
        values = dict(zip(names, combination, strict=True))
        yield tuple(_replace(text, values) for text in texts)


def _replace(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _refuse_unknown(what: str, names: set[str], known: Mapping[str, Any]) -> None:
    for name in sorted(names - set(known)):
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known) or 'none'}"
        raise ValueError(f"unknown {what} {name!r} ({hint})")
