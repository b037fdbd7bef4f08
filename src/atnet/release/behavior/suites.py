"""The form of a behavior suite: a YAML file that the user extends, and the cases it stands for."""

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
from atnet.errors import ConfigurationError
from atnet.release.behavior.perturbations import PerturbationName, change

Kind = Literal["MFT", "INV", "DIR"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PLACE = re.compile(r"\{(\w+)\}")
Texts = Annotated[list[str], Field(min_length=1)]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]


@dataclass(frozen=True, slots=True)
class Case:
    """One question to a model: a text with its label, or a text and its changed form."""

    suite: str
    kind: Kind
    group: str
    texts: tuple[str, ...]
    """One text for a minimum case, else the text and its changed form."""
    label: str | None
    """As the suite's `labels` map it to the model; None where any label will do."""
    direction: Literal["up", "down"] | None = None
    """Direction cases: where the probability of the label must go."""
    min_change: float = 0.0
    """Direction cases: how far it must go at least."""


class MftGroup(Section):
    """Plain texts with one right label."""

    group: str
    """What the cases have in common."""
    label: str
    """The right label, as the suite calls it."""
    texts: Texts


class InvGroup(Section):
    """Texts and changes that must not change the label: built-in changes, other words in a place, or pairs by hand."""

    group: str
    """What the cases have in common."""
    perturbations: Annotated[list[PerturbationName], Field(min_length=1)] | None = None
    """Built-in changes, each made to every text."""
    vary: str | None = None
    """A list of `words`: the text with its first word against the text with each other one."""
    texts: Texts | None = None
    pairs: Annotated[list[Pair], Field(min_length=1)] | None = None
    """Text and changed text, written by hand."""

    @model_validator(mode="after")
    def _one_form(self) -> "InvGroup":
        ways = [self.perturbations is not None, self.vary is not None, self.pairs is not None]
        if sum(ways) != 1 or (self.pairs is None) != (self.texts is not None):
            raise ValueError("give texts with perturbations, texts with vary, or pairs")
        return self


class DirGroup(Section):
    """Pairs of texts: from the first to the second, a label's probability must rise or fall."""

    group: str
    """What the cases have in common."""
    label: str
    """Whose probability must move, as the suite calls it."""
    direction: Literal["up", "down"]
    min_change: Annotated[float, Field(ge=0, lt=1)]
    """How far it must move at least."""
    pairs: Annotated[list[Pair], Field(min_length=1)]


class Suite(Section):
    """The cases of one language."""

    language: str
    labels: dict[str, str]
    """Label as this file calls it -> label as the model calls it."""
    words: dict[str, Texts] = Field(default={})
    """Lists that fill `{place}` in a text; a text stands for one case per word."""
    mft: list[MftGroup] = Field(default=[])
    inv: list[InvGroup] = Field(default=[])
    dir: list[DirGroup] = Field(default=[])

    @model_validator(mode="after")
    def _known_words(self) -> "Suite":
        named = {one.label for group in (self.mft, self.dir) for one in group}
        _refuse_unknown("label", named, self.labels)
        varied = {one.vary for one in self.inv if one.vary is not None}
        places = {place for text in self._texts() for place in PLACE.findall(text)}
        _refuse_unknown("word list", varied | places, self.words)
        return self

    @classmethod
    def load(cls, path: Path) -> "Suite":
        """Read a suite's file.

        Raises:
            ConfigurationError: naming the file and the faulty key.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError):
            raise ConfigurationError(
                f"The behavior suite {path} does not exist. Mend release.behavior.suites in params.yaml."
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"The behavior suite {path} is not UTF-8 ({error}). Save it as UTF-8.") from error
        return parse_suite(text, source=str(path))

    def cases(self) -> list[Case]:
        """Write out every case, in the order of the file; a change that changes nothing makes none."""
        return [*self._minimum_cases(), *self._invariance_cases(), *self._direction_cases()]

    def _minimum_cases(self) -> Iterator[Case]:
        for one in self.mft:
            for text in one.texts:
                for (filled,) in _fill((text,), self.words):
                    yield Case(self.language, "MFT", one.group, (filled,), self.labels[one.label])

    def _invariance_cases(self) -> Iterator[Case]:
        for one in self.inv:
            for pair in self._unchanging_pairs(one):
                if pair[0] != pair[1]:
                    yield Case(self.language, "INV", one.group, pair, None)

    def _unchanging_pairs(self, group: InvGroup) -> Iterator[tuple[str, ...]]:
        if group.pairs is not None:
            for pair in group.pairs:
                yield from _fill(pair, self.words)
            return
        for text in group.texts or ():
            if group.vary is not None:
                first, *others = self.words[group.vary]
                place = f"{{{group.vary}}}"
                for other in others:
                    yield from _fill((text.replace(place, first), text.replace(place, other)), self.words)
                continue
            for (filled,) in _fill((text,), self.words):
                yield from ((filled, change(filled, name)) for name in group.perturbations or ())

    def _direction_cases(self) -> Iterator[Case]:
        for one in self.dir:
            for pair in one.pairs:
                for filled in _fill(pair, self.words):
                    label = self.labels[one.label]
                    yield Case(self.language, "DIR", one.group, filled, label, one.direction, one.min_change)

    def _texts(self) -> Iterator[str]:
        yield from (text for group in self.mft for text in group.texts)
        yield from (text for group in self.inv for text in group.texts or ())
        yield from (text for one in self.inv for pair in one.pairs or () for text in pair)
        yield from (text for one in self.dir for pair in one.pairs for text in pair)


def parse_suite(text: str, *, source: str) -> Suite:
    """Read a suite's text.

    Raises:
        ConfigurationError: naming the source and every faulty key.
    """
    try:
        values: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The behavior suite {source} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"The behavior suite {source} holds no sections. docs/releasing.md shows the form.")
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(str(part) for part in problem['loc']) or 'suite'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise ConfigurationError(
            f"The behavior suite {source} cannot be used:\n{problems}\nMend it; docs/releasing.md shows the form."
        ) from error


def _fill(texts: Sequence[str], words: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Put every combination of words into the places of the texts; the same place gets the same word in all."""
    places = sorted({place for text in texts for place in PLACE.findall(text)})
    for chosen in itertools.product(*(words[place] for place in places)):
        found = dict(zip(places, chosen, strict=True))
        yield tuple(PLACE.sub(lambda match, found=found: found[match[1]], text) for text in texts)  # type: ignore[misc]


def _refuse_unknown(what: str, named: set[str], known: Mapping[str, Any]) -> None:
    for name in sorted(named - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        advice = f" (did you mean {near[0]}?)" if near else f" (known here: {', '.join(known) or 'none'})"
        raise ValueError(f"unknown {what} {name!r}{advice}")
