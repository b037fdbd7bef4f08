"""The model card: purpose, scores, data and limits of a model (Mitchell et al., FAT* 2019)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from atnet import files
from atnet.config import ModelCardConfig, Params
from atnet.git_dvc import git_state
from atnet.registry.versions import Registry, Version
from atnet.release.behavior.runner import BehaviorResult
from atnet.release.behavior.suites import TEST_TYPES
from atnet.release.gate.result import GateResult
from atnet.report.rendering import page_template
from atnet.report.sentences import display_name, summarize
from atnet.storage import read_json
from atnet.tracking import collect_run_contents
from atnet.tracking.run_contents import RunContents

DESCRIPTION_CHARACTERS = 5000
"""Limit of MLflow's database for the description of a version."""
TRUNCATED = "\n\nThe rest is in the artifact `model_card.html`.\n"
MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
"""Characters that have a meaning in Markdown or HTML."""
LINE_MARKUP = re.compile(r"^(\d+)([.)])|^([-+=])")
"""What starts a list or underlines a heading at the start of a line."""
LISTED_SECTIONS = ("train.", "vectors.", "tokenize.")
"""Parameters that the card lists."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A rendered model card."""

    markdown: str
    html: str


@dataclass(frozen=True, slots=True)
class CardValues:
    """Everything the card shows."""

    name: str
    """Name of the registered model."""
    version: int
    model_sha256: str
    labels: Sequence[str]
    about: ModelCardConfig
    """Information that cannot be computed."""
    confidence: float
    """Level of the intervals in the metrics."""
    contents: RunContents
    """What was published: metrics, details, slices, splits, parameters, an example."""
    gate: GateResult | None
    """None before the gate has run."""
    commit: str | None
    """Commit of the code and the parameters."""

    @property
    def model_uri(self) -> str:
        """Loads this version, such as `models:/atnet/3`."""
        return f"models:/{self.name}/{self.version}"

    @property
    def vectors(self) -> Mapping[str, str] | None:
        """File, source and license of the pretrained word vectors; None without them."""
        tags, params = self.contents.tags, self.contents.params
        if "pretrained.source" not in tags:
            return None
        return {
            "file": params["vectors.pretrained"],
            "source": tags["pretrained.source"],
            "license": tags["pretrained.license"],
        }

    @property
    def behavior(self) -> BehaviorResult | None:
        """The behavior suites in the gate; None if none was run."""
        return self.gate.behavior if self.gate else None

    @property
    def example(self) -> str:
        """A text to try the model with."""
        return self.contents.example[0] if self.contents.example else "a text"


def model_card(params: Params, root: Path, registry: Registry, version: Version, gate: GateResult) -> ModelCard:
    """Render the card of a version from what was published and the gate's result.

    Raises:
        AtnetError: if the files are incomplete or do not belong together.
    """
    values = CardValues(
        name=registry.model,
        version=version.number,
        model_sha256=version.sha256,
        labels=read_json(root / files.INFERENCE_CONFIG)["labels"],
        about=params.release.model_card,
        confidence=params.evaluate.confidence,
        contents=collect_run_contents(params, root),
        gate=gate,
        commit=git_state(root).commit,
    )
    return ModelCard(card_markdown(values), card_html(values))


def card_markdown(values: CardValues) -> str:
    """Render the card as Markdown; the same values give the same bytes."""
    contents, behavior = values.contents, values.behavior
    baselines = contents.details["baselines"].items()
    return page_template("model_card.md", FILTERS).render(
        card=values,
        summary=summarize(contents.results, values.confidence),
        test_types=[test_type for test_type in TEST_TYPES if behavior and behavior.cases(test_type)],
        weak=weak_spots(values),
        settings={name: value for name, value in contents.params.items() if name.startswith(LISTED_SECTIONS)},
        baselines=sorted(baselines, key=lambda item: -float(item[1]["macro_f1"]["value"])),
    )


def card_html(values: CardValues) -> str:
    """Render the card as one page without scripts or links to other files."""
    # Raw HTML is shown as text: the card contains text from the data and from users.
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(card_markdown(values))
    page = re.sub(r"<table>.*?</table>", lambda match: f'<div class="wide">{match[0]}</div>', body, flags=re.DOTALL)
    return page_template("model_card.html", FILTERS).render(title=f"{values.name} {values.version}", body=page)


def version_description(markdown: str, limit: int = DESCRIPTION_CHARACTERS) -> str:
    """Shorten the card to what fits the description of a version, by whole sections."""
    if len(markdown) <= limit:
        return markdown
    sections = re.split(r"(?=^## )", markdown, flags=re.MULTILINE)
    description = sections[0]
    for section in sections[1:]:
        if len(description) + len(section) + len(TRUNCATED) > limit:
            break
        description += section
    return description.rstrip()[: limit - len(TRUNCATED)] + TRUNCATED


def weak_spots(values: CardValues) -> list[str]:
    """Describe where the model is clearly worse than on all texts, from its own metrics."""
    slices, overall = values.contents.slices, float(values.contents.results["accuracy"]["value"])
    sentences = [
        f"On {by} “{value}” only {part['accuracy']['value']:.1%} of {part['rows']:,} texts are classified correctly "
        f"({overall:.1%} over all texts)."
        for by, parts in slices.items()
        for value, part in parts.items()
        if "accuracy" in part and part["accuracy"]["high"] < overall
    ]
    small = sum("accuracy" not in part for parts in slices.values() for part in parts.values())
    if small:
        sentences.append(f"{small} {'slice is' if small == 1 else 'slices are'} too small to be scored.")
    groups = values.behavior.groups if values.behavior else ()
    sentences += [
        f"Of the behavior cases “{group.group}” ({group.suite}, {group.test_type}), "
        f"{group.failed} of {group.cases} fail."
        for group in groups
        if group.failed
    ]
    return sentences


def plain(text: Any) -> str:
    """Escape a text so that Markdown shows it unchanged, on one line."""
    line = MARKUP.sub(r"\\\1", " ".join(str(text).split()))
    return LINE_MARKUP.sub(lambda match: f"{match[1]}\\{match[2]}" if match[1] else f"\\{match[3]}", line)


def score(value: Any, form: str = "{:.3f}") -> str:
    """Format a number, with its interval if it has one."""
    if not isinstance(value, Mapping):
        return form.format(value)
    return f"{form.format(value['value'])} ({form.format(value['low'])} to {form.format(value['high'])})"


def _points(value: Mapping[str, float]) -> str:
    return score({name: 100 * number for name, number in value.items()}, "{:+z.1f}")


FILTERS: dict[str, Callable[..., str]] = {
    "plain": plain,
    "score": score,
    "share": lambda value: score(value, "{:.1%}"),
    "points": _points,
    "count": lambda value: f"{value:,}",
    "percent": lambda value: f"{value:.1%}",
    "model": display_name,
    "literal": lambda value: json.dumps(value, ensure_ascii=False),
}
