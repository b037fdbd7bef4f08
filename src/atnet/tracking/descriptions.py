"""The Markdown descriptions on the pages of a run and of its model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atnet.formatting import (
    code_block,
    fixed,
    markdown_table,
    markdown_text,
    percent,
    point_estimate,
    points,
    with_interval,
)
from atnet.redaction import redact
from atnet.report.sentences import display_name, summarize
from atnet.tracking.run_contents import RunContents, Values

MAX_ROWS = 40
"""Of a table in a description; the report has all rows."""
SIGNATURE = "*Written by `publish` (checksum "
"""Ends a description of ours; the checksum after it shows whether a reader has edited the description since."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where a description links to."""

    report: str
    model: str
    model_uri: str


def run_note(contents: RunContents, links: Links, confidence: float) -> str:
    """Write the description of a run, which a reviewer reads first."""
    rows = {split.name: f"{split.rows:,}" for split in contents.splits}
    quality, *others = (markdown_text(sentence) for sentence in summarize(contents.results, confidence))
    # The links come early: MLflow folds a long description.
    parts = [
        quality,
        f"[Report]({links.report}) · [Model]({links.model}) · "
        f'load it with `mlflow.pyfunc.load_model("{links.model_uri}")`',
        *others,
        "### Baselines",
        _baseline_table(contents, confidence),
        "### Labels",
        _label_table(contents.details),
        "### Slices",
        _slice_table(contents.slices, confidence),
        "### Data",
        f"Trained on {rows['train']} texts, tuned on {rows['validation']}, tested on {rows['test']}. "
        "`dvc.lock` among the artifacts lists every file; with it in place, `dvc pull` restores them.",
        f"Model `{contents.model_sha256}` (SHA-256 of its files).",
    ]
    return _signed(redact("\n\n".join(parts)))


def is_own_note(note: str) -> bool:
    """Return whether a description is unchanged since `run_note` wrote it; a reader's edits must not be lost."""
    return _signed(note.rpartition(SIGNATURE)[0].rstrip()) == note


def model_note(contents: RunContents, links: Links, confidence: float) -> str:
    """Write the description of a model."""
    example = json.dumps(contents.example[0] if contents.example else "a text", ensure_ascii=False)
    usage = (
        "Pass it a list of texts. It returns the label, its score and the probability of every label; with "
        '`params={"attention": True}` also the attention weight and the contribution of each token.'
    )
    code = f'model = mlflow.pyfunc.load_model("{links.model_uri}")\nmodel.predict([{example}])'
    summary = markdown_text(summarize(contents.results, confidence)[0])
    return redact("\n\n".join([summary, usage, code_block(code, "python")]))


def _signed(note: str) -> str:
    checksum = hashlib.sha256(note.encode("utf-8")).hexdigest()[:8]
    return f"{note}\n\n{SIGNATURE}{checksum}). Edit it freely: an edited note is left alone.*"


def _baseline_table(contents: RunContents, confidence: float) -> str:
    results, baselines = contents.results, contents.details["baselines"]
    header = ["", f"accuracy ({confidence:.0%} interval)", f"macro-F1 ({confidence:.0%} interval)"]
    rows = [["**AtNet**", *_scores(results)]]
    for name in sorted(baselines, key=lambda baseline: -point_estimate(baselines[baseline]["accuracy"])):
        rows.append([markdown_text(display_name(name)), *_scores(baselines[name])])
    return markdown_table(header, rows)


def _label_table(details: Values) -> str:
    rows = [
        [
            markdown_text(label),
            f"{scores['support']:,}",
            *(with_interval(scores[name], fixed) for name in ("precision", "recall", "f1")),
        ]
        for label, scores in details["labels"].items()
    ]
    return markdown_table(["label", "texts", "precision", "recall", "F1"], rows[:MAX_ROWS]) + _omitted(len(rows))


def _slice_table(slices: Values, confidence: float) -> str:
    rows = [
        [
            markdown_text(f"{column}: {value}"),
            f"{scores['rows']:,}",
            with_interval(scores["accuracy"], percent),
            _difference(scores.get("lead")),
        ]
        for column, parts in slices.items()
        for value, scores in parts.items()
        if "accuracy" in scores
    ]
    if not rows:
        return "No slice is large enough to be scored."
    accuracy = f"accuracy ({confidence:.0%} interval)"
    header = ["slice", "texts", accuracy, "difference from the best baseline (points)"]
    return markdown_table(header, rows[:MAX_ROWS]) + _omitted(len(rows))


def _omitted(rows: int) -> str:
    return f"\n\n{rows - MAX_ROWS} more in the report." if rows > MAX_ROWS else ""


def _scores(values: Values) -> list[str]:
    return [with_interval(values["accuracy"], percent), with_interval(values["macro_f1"], fixed)]


def _difference(difference: Any) -> str:
    return with_interval(difference, points) if isinstance(difference, Mapping) else ""
