"""Records of Prodigy's `db-out` for text classification: one label to accept or reject, or a choice of options."""

from collections.abc import Mapping, Sequence
from typing import Any

from atnet.onboarding.annotations import Annotation, UnsupportedAnnotation

NOT = "not "
"""Before a label that was rejected."""


def is_prodigy(record: Mapping[str, Any]) -> bool:
    """Return whether a record has Prodigy's hashes or its answer."""
    return "text" in record and ("_task_hash" in record or record.get("answer") in ("accept", "reject", "ignore"))


def prodigy_annotation(record: Mapping[str, Any]) -> Annotation:
    """Read a record; a rejected label becomes `not LABEL`.

    Raises:
        UnsupportedAnnotation: if it labels spans of the text.
    """
    if record.get("spans"):
        raise UnsupportedAnnotation("spans, which label parts of the text")
    row_id, fields = str(record.get("_task_hash", "")), {"text": str(record["text"])}
    answer = record.get("answer", "accept")
    if answer == "ignore":
        return Annotation(row_id, fields, {"label": []})
    if isinstance(record.get("accept"), list):
        accepted = [str(option) for option in record["accept"]]
        return Annotation(row_id, fields, {"label": accepted if answer == "accept" else []})
    label = record.get("label")
    if label is None:
        return Annotation(row_id, fields, {"label": []})
    return Annotation(row_id, fields, {"label": [str(label) if answer == "accept" else f"{NOT}{label}"]})


def without_rejected(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Return the annotations without rejected labels if there are several labels: which one is right is not known."""
    accepted = {label for annotation in annotations for label in annotation.labels["label"] if not _is_rejected(label)}
    if len(accepted) < 2:
        return list(annotations)
    return [annotation for annotation in annotations if not any(map(_is_rejected, annotation.labels["label"]))]


def _is_rejected(label: str) -> bool:
    return label.startswith(NOT)
