"""The Markdown on the pages of a run and of its model."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atnet.report.sentences import display_name, summarize
from atnet.tracking.run_contents import RunContents, Values

NOTE_ROWS = 40
"""Of a table in the note; the report has them all."""
SIGNATURE = "*Written by `publish` (checksum "
"""Ends a note of ours; the checksum after it shows whether somebody has edited the note since."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where the note leads to."""

    report: str
    model: str
    model_uri: str


def run_note(publication: RunContents, links: Links, confidence: float) -> str:
    """Write the Markdown that a reviewer reads first."""
    sentences = "\n\n".join(summarize(publication.results, confidence))
    rows = {split.name: f"{split.rows:,}" for split in publication.splits}
    parts = [
        sentences,
        f"[Report]({links.report}) · [Model]({links.model}) · "
        f'load it with `mlflow.pyfunc.load_model("{links.model_uri}")`',
        "### Beside the baselines",
        _result_table(publication, confidence),
        "### By label",
        _label_table(publication.details),
        "### By slice",
        _slice_table(publication.slices, confidence),
        "### Data",
        f"Trained on {rows['train']} texts, tuned on {rows['validation']}, judged on {rows['test']}. "
        "`dvc.lock` among the artifacts names every file; with it in place, `dvc pull` brings them back.",
        f"Model `{publication.model_sha256}` (SHA-256 of its files).",
    ]
    return _signed("\n\n".join(parts))


def is_own_note(note: str) -> bool:
    """Tell whether a note stands as `run_note` wrote it; a reader's words must not be lost."""
    return _signed(note.rpartition(SIGNATURE)[0].rstrip()) == note


def model_note(publication: RunContents, links: Links, confidence: float) -> str:
    """Write the Markdown of the model's own page."""
    usage = (
        "Give it a list of texts; it answers label, score and the probability of every label, and with "
        '`params={"attention": True}` the weight and the contribution of each token.'
    )
    text = json.dumps(publication.example[0] if publication.example else "a text", ensure_ascii=False)
    code = f'```python\nmodel = mlflow.pyfunc.load_model("{links.model_uri}")\nmodel.predict([{text}])\n```'
    return "\n\n".join([summarize(publication.results, confidence)[0], usage, code])


def _signed(note: str) -> str:
    checksum = hashlib.sha256(note.encode("utf-8")).hexdigest()[:8]
    return f"{note}\n\n{SIGNATURE}{checksum}). Edit it freely: an edited note is left alone.*"


def _result_table(publication: RunContents, confidence: float) -> str:
    results, baselines = publication.results, publication.details["baselines"]
    header = ["", f"accuracy ({confidence:.0%} interval)", f"macro-F1 ({confidence:.0%} interval)"]
    rows = [["**AtNet**", _share(results["accuracy"]), _decimal(results["macro_f1"])]]
    for name in sorted(baselines, key=lambda one: -_plain(baselines[one]["accuracy"])):
        rows.append([display_name(name), _share(baselines[name]["accuracy"]), _decimal(baselines[name]["macro_f1"])])
    return _table(header, rows)


def _label_table(details: Values) -> str:
    labels = details["labels"]
    rows = [
        [label, f"{one['support']:,}", _decimal(one["precision"]), _decimal(one["recall"]), _decimal(one["f1"])]
        for label, one in labels.items()
    ]
    return _table(["label", "texts", "precision", "recall", "F1"], rows[:NOTE_ROWS]) + _left_out(len(rows))


def _slice_table(slices: Values, confidence: float) -> str:
    scored = [
        [f"{by}: {value}", f"{one['rows']:,}", _share(one["accuracy"]), _points(one.get("lead"))]
        for by, parts in slices.items()
        for value, one in parts.items()
        if "accuracy" in one
    ]
    header = ["slice", "texts", f"accuracy ({confidence:.0%} interval)", "lead over the best baseline, points"]
    if not scored:
        return "No slice is large enough to be scored."
    return _table(header, scored[:NOTE_ROWS]) + _left_out(len(scored))


def _left_out(rows: int) -> str:
    return f"\n\n{rows - NOTE_ROWS} more in the report." if rows > NOTE_ROWS else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _plain(score: Any) -> float:
    return float(score["value"] if isinstance(score, Mapping) else score)


def _share(score: Any) -> str:
    bounds = f" ({score['low']:.1%} to {score['high']:.1%})" if isinstance(score, Mapping) else ""
    return f"{_plain(score):.1%}{bounds}"


def _decimal(score: Any) -> str:
    bounds = f" ({score['low']:.3f} to {score['high']:.3f})" if isinstance(score, Mapping) else ""
    return f"{_plain(score):.3f}{bounds}"


def _points(lead: Any) -> str:
    if not isinstance(lead, Mapping):
        return ""
    return f"{100 * lead['value']:+.1f} ({100 * lead['low']:+.1f} to {100 * lead['high']:+.1f})"
