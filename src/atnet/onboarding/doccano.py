"""Records of Doccano's JSON Lines exports of text classification."""

from collections.abc import Mapping
from typing import Any

from atnet.onboarding.annotations import Annotation, UnsupportedAnnotation


def is_doccano(record: Mapping[str, Any]) -> bool:
    """Return whether a record has a text and a list of labels or annotations."""
    return isinstance(_text(record), str) and any(
        isinstance(record.get(key), list) for key in ("label", "labels", "annotations", "entities", "cats")
    )


def doccano_annotation(record: Mapping[str, Any]) -> Annotation:
    """Read a record; its labels are names, or numbers in older versions.

    Raises:
        UnsupportedAnnotation: if it labels spans of the text.
    """
    if record.get("entities"):
        raise UnsupportedAnnotation("entities, which label parts of the text")
    values = record.get("label") or record.get("labels") or record.get("cats") or record.get("annotations") or []
    labels = []
    for value in values if isinstance(values, list) else [values]:
        if isinstance(value, list) or (isinstance(value, dict) and "start_offset" in value):
            raise UnsupportedAnnotation("spans, which label parts of the text")
        labels.append(str(value.get("label", "")) if isinstance(value, dict) else str(value))
    return Annotation(str(record.get("id", "")), {"text": _text(record) or ""}, {"label": labels})


def _text(record: Mapping[str, Any]) -> str | None:
    text = record.get("text", record.get("data"))
    return text if isinstance(text, str) else None
