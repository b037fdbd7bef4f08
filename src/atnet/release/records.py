"""What a judgment leaves behind: files here, artifacts of the run, tags and the description of the version."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from atnet.registry.artifacts import write_artifacts, write_metrics
from atnet.registry.versions import Registry, Version, describe, describe_model, model_description
from atnet.release.gate.result import GateResult
from atnet.release.model_card import description
from atnet.storage import project_root, write_text

GATE_FOLDER = ".atnet/releases"
ARTIFACTS = "release"
REASON_CHARACTERS = 2000
ABOUT = """Kept by `atnet release`; which version is what, its aliases say:

- `champion` is live. Serve `models:/{model}@champion`, never a version number.
- `challenger` is being judged, or has passed the gate and waits for a person.
- `previous` is what `atnet rollback` goes back to.

A version's tag `release.state` says how it fared, its description is its model card, and its run holds the gate's \
verdict under `{folder}/`. Move aliases with `atnet release`, `approve`, `reject` and `rollback` only: they keep the \
ledger (`atnet history`).
"""


@dataclass(frozen=True, slots=True)
class Card:
    """A version's model card."""

    markdown: str
    html: str


@dataclass(frozen=True, slots=True)
class Record:
    """A judgment on file."""

    verdict: GateResult
    json_text: str
    file: Path
    """gate.md."""

    @property
    def sha256(self) -> str:
        """Hash of gate.json, which the ledger holds."""
        return hashlib.sha256(self.json_text.encode("utf-8")).hexdigest()

    @property
    def told(self) -> str:
        """The verdict in one line."""
        if self.verdict.failed:
            return f"refused by the gate: {', '.join(self.verdict.failed)}"
        outcomes = Counter(check.outcome for check in self.verdict.checks)
        counted = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        return f"passed the gate under rule {self.verdict.rule} (checks: {counted})"


def record(registry: Registry, version: Version, verdict: GateResult, card: Card) -> Record:
    """Put the verdict and the card on file before anything is moved."""
    json_text = json.dumps(verdict.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    texts = {
        "gate.json": json_text,
        "gate.md": verdict.to_markdown(),
        "model_card.md": card.markdown,
        "model_card.html": card.html,
    }
    folder = project_root(registry.root) / GATE_FOLDER / f"version-{version.number}"
    for name, text in texts.items():
        write_text(folder / name, text)
    write_artifacts(registry, version.run_id, {f"{ARTIFACTS}/{name}": text for name, text in texts.items()})
    write_metrics(registry, version.run_id, {f"gate/{name}": value for name, value in verdict.numbers.items()})
    describe(registry, version.number, description(_untitled(card.markdown)))
    _describe_model(registry)
    return Record(verdict, json_text, folder / "gate.md")


def gate_tags(kept: Record) -> dict[str, str]:
    """Say on the version how the gate saw it; the reasons of an earlier judgment go."""
    return {
        "gate.decision": kept.verdict.decision,
        "gate.sha256": kept.sha256,
        "gate.reasons": "\n".join(kept.verdict.reasons)[:REASON_CHARACTERS],
    }


def _untitled(markdown: str) -> str:
    # The page has a title, and the list of versions shows the first line as it stands.
    return re.sub(r"\A# .*\n+", "", markdown)


def _describe_model(registry: Registry) -> None:
    # Once: what people write there afterwards stays.
    if not model_description(registry):
        describe_model(registry, ABOUT.format(model=registry.model, folder=ARTIFACTS))
