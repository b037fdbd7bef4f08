"""What the gate records: local files, artifacts and metrics of the run, tags and description of the version."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from atnet.files import STATE
from atnet.registry.artifacts import write_artifacts, write_metrics
from atnet.registry.versions import Registry, Version, describe, describe_model, model_description
from atnet.release.gate.result import GateResult
from atnet.release.model_card import ModelCard, version_description
from atnet.storage import project_root, write_text

RECORDS = STATE / "releases"
ARTIFACT_FOLDER = "release"
REASON_CHARACTERS = 2000
MODEL_DESCRIPTION = """Managed by `atnet release`. The aliases say what each version is for:

- `champion` is live. Serve `models:/{model}@champion`, never a version number.
- `challenger` is being judged, or has passed the gate and is waiting for approval.
- `previous` is what `atnet rollback` goes back to.

The tag `release.state` of a version shows what was decided, its description is its model card, and its run holds the \
gate's result under `{folder}/`. Move aliases only with `atnet release`, `approve`, `reject` and `rollback`: they keep \
the ledger (`atnet history`).
"""


@dataclass(frozen=True, slots=True)
class GateRecord:
    """A result of the gate, saved."""

    result: GateResult
    json_text: str
    file: Path
    """gate.md."""

    @property
    def sha256(self) -> str:
        """SHA-256 of gate.json, which the ledger records."""
        return hashlib.sha256(self.json_text.encode("utf-8")).hexdigest()

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.result.failed:
            return f"rejected by the gate: {', '.join(self.result.failed)}"
        counts = Counter(check.status for check in self.result.checks)
        checks = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return f"passed the gate under rule {self.result.rule} (checks: {checks})"


def save_result(registry: Registry, version: Version, result: GateResult, card: ModelCard) -> GateRecord:
    """Save the gate's result and the model card before any alias moves."""
    json_text = json.dumps(result.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    texts = {
        "gate.json": json_text,
        "gate.md": result.to_markdown(),
        "model_card.md": card.markdown,
        "model_card.html": card.html,
    }
    folder = _folder(registry, version.number)
    for name, text in texts.items():
        write_text(folder / name, text)
    write_artifacts(registry, version.run_id, {f"{ARTIFACT_FOLDER}/{name}": text for name, text in texts.items()})
    write_metrics(registry, version.run_id, {f"gate/{name}": value for name, value in result.metrics.items()})
    describe(registry, version.number, version_description(_without_title(card.markdown)))
    # Once: what users write there afterwards is kept.
    if not model_description(registry):
        describe_model(registry, MODEL_DESCRIPTION.format(model=registry.model, folder=ARTIFACT_FOLDER))
    return GateRecord(result, json_text, folder / "gate.md")


def load_record(registry: Registry, number: int) -> GateRecord | None:
    """Load the saved result of a version; None if it was saved on another machine."""
    folder = _folder(registry, number)
    try:
        json_text = (folder / "gate.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return GateRecord(GateResult.from_dict(json.loads(json_text)), json_text, folder / "gate.md")


def gate_tags(record: GateRecord) -> dict[str, str]:
    """Return the tags that describe the gate's result; they replace those of an earlier run."""
    return {
        "gate.decision": record.result.decision,
        "gate.sha256": record.sha256,
        "gate.reasons": "\n".join(record.result.reasons)[:REASON_CHARACTERS],
    }


def _folder(registry: Registry, number: int) -> Path:
    return project_root(registry.root) / RECORDS / f"version-{number}"


def _without_title(markdown: str) -> str:
    # The page has a title already, and the list of versions shows the first line.
    return re.sub(r"\A# .*\n+", "", markdown)
