"""The model card: what a model is for, how good it is, what it was made from and where it fails (Mitchell 2019)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt

from atnet.config import ModelCardConfig
from atnet.release.behavior.runner import KINDS, BehaviorResult
from atnet.release.gate.result import GateResult
from atnet.report.rendering import page_template
from atnet.report.sentences import display_name, summarize
from atnet.tracking.run_contents import SplitFile

DESCRIPTION_LIMIT = 5000
"""Characters that MLflow's database keeps of a version's description."""
MORE = "\n\nThe rest stands in the artifact `model_card.html`.\n"
MARKS = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
"""Characters that mean something in Markdown or HTML."""
LINE_MARK = re.compile(r"^(\d+)([.)])|^([-+=])")
"""What would open a list or underline a heading at the start of a line."""
MAKING = ("train.", "tokenize.")
"""Parameters that the card lists."""


@dataclass(frozen=True, slots=True)
class CardValues:
    """All that the card says, as plain values."""

    name: str
    """Of the registered model."""
    version: str
    model_uri: str
    """To load this version, as `models:/atnet/3`."""
    model_sha256: str
    labels: Sequence[str]
    words: ModelCardConfig
    """What only people know."""
    confidence: float
    """Of the intervals in the metrics."""
    results: Mapping[str, Any]
    """As in metrics.json."""
    details: Mapping[str, Any]
    """As in details.json."""
    slices: Mapping[str, Any]
    """As in slices.json."""
    splits: Sequence[SplitFile]
    verdict: GateResult | None
    """None before the gate has judged."""
    parameters: Mapping[str, str]
    """Flattened, by their place in params.yaml."""
    example: str
    """A text to try the model with."""
    commit: str | None
    """Of the code and parameters."""

    @property
    def behavior(self) -> BehaviorResult | None:
        """As the gate saw it; None where it was not asked."""
        return self.verdict.behavior if self.verdict else None


def card_markdown(values: CardValues) -> str:
    """Write the card as Markdown; the same values give the same bytes."""
    return page_template("model_card.md", FILTERS).render(
        card=values,
        summary=summarize(values.results, values.confidence),
        kinds=[kind for kind in KINDS if values.behavior and values.behavior.cases(kind)],
        weak=weak_spots(values),
        making={name: value for name, value in values.parameters.items() if name.startswith(MAKING)},
        baselines=sorted(values.details["baselines"].items(), key=lambda item: -float(item[1]["macro_f1"]["value"])),
    )


def card_html(values: CardValues) -> str:
    """Write the card as one page that needs no other file, no script and no network."""
    # Raw HTML stays text: the card shows words from the data and from people.
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(card_markdown(values))
    page = re.sub(r"<table>.*?</table>", lambda match: f'<div class="wide">{match[0]}</div>', body, flags=re.DOTALL)
    return page_template("model_card.html", FILTERS).render(title=f"{values.name} {values.version}", body=page)


def description(markdown: str, limit: int = DESCRIPTION_LIMIT) -> str:
    """Shorten the card to what fits a version's description, whole sections only."""
    if len(markdown) <= limit:
        return markdown
    sections = re.split(r"(?=^## )", markdown, flags=re.MULTILINE)
    kept = sections[0]
    for section in sections[1:]:
        if len(kept) + len(section) + len(MORE) > limit:
            break
        kept += section
    return kept.rstrip()[: limit - len(MORE)] + MORE


def weak_spots(values: CardValues) -> list[str]:
    """Say in sentences where the model is clearly weaker than on the whole, from its own numbers."""
    overall = float(values.results["accuracy"]["value"])
    found = [
        f"On {by} “{value}” only {one['accuracy']['value']:.1%} of {one['rows']:,} texts are right "
        f"({overall:.1%} over all)."
        for by, parts in values.slices.items()
        for value, one in parts.items()
        if "accuracy" in one and one["accuracy"]["high"] < overall
    ]
    small = sum("accuracy" not in one for parts in values.slices.values() for one in parts.values())
    if small:
        found.append(f"{small} {'slice is' if small == 1 else 'slices are'} too small to be scored.")
    groups = values.behavior.groups if values.behavior else ()
    found += [
        f"Of the behavior cases “{one.group}” ({one.suite}, {one.kind}), {one.cases - one.passed} of {one.cases} fail."
        for one in groups
        if one.passed < one.cases
    ]
    return found


def plain(text: Any) -> str:
    """Make Markdown show a text as it is, on one line."""
    line = MARKS.sub(r"\\\1", " ".join(str(text).split()))
    return LINE_MARK.sub(lambda match: f"{match[1]}\\{match[2]}" if match[1] else f"\\{match[3]}", line)


def score(value: Any, form: str = "{:.3f}") -> str:
    """Write a number, and its interval where it has one."""
    if not isinstance(value, Mapping):
        return form.format(value)
    return f"{form.format(value['value'])} ({form.format(value['low'])} to {form.format(value['high'])})"


def _points(value: Mapping[str, float]) -> str:
    return score({name: 100 * one for name, one in value.items()}, "{:+z.1f}")


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
