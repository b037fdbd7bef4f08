"""Records of Label Studio's JSON and JSON-MIN exports."""

from collections.abc import Iterator, Mapping
from typing import Any

from atnet.onboarding.annotations import Annotation, UnsupportedAnnotation, plain_fields

LABEL_TYPES = ("choices",)
IGNORED_TYPES = ("rating", "textarea", "number", "datetime")
MIN_KEYS = frozenset({"annotator", "annotation_id", "lead_time"})
MIN_EXTRA = MIN_KEYS | {"created_at", "updated_at", "id"}


def is_label_studio(record: Mapping[str, Any]) -> bool:
    """Return whether a record has the keys of a task."""
    return (isinstance(record.get("data"), dict) and "annotations" in record) or record.keys() >= MIN_KEYS


def label_studio_annotation(record: Mapping[str, Any]) -> Annotation:
    """Read a task with its annotations; skipped annotations do not count.

    Raises:
        UnsupportedAnnotation: if a region of the text is labeled instead of the text.
    """
    row_id = str(record.get("id", ""))
    if not isinstance(record.get("data"), dict):
        return _minimal(record, row_id)
    labels: dict[str, list[str]] = {}
    for annotation in record["annotations"] or ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            for question, answer in _answers(annotation.get("result") or ()):
                labels.setdefault(question, []).append(answer)
    return Annotation(row_id, plain_fields(record["data"]), labels)


def _answers(results: Any) -> Iterator[tuple[str, str]]:
    for result in results:
        kind, value = result.get("type"), result.get("value") or {}
        if kind in LABEL_TYPES:
            yield from ((str(result.get("from_name", "label")), str(choice)) for choice in value.get("choices", ()))
        elif kind not in IGNORED_TYPES:
            raise UnsupportedAnnotation(f"an annotation of type {kind!r}, which labels a part of the text")


def _minimal(record: Mapping[str, Any], row_id: str) -> Annotation:
    """Read a task of the JSON-MIN export, in which each control is a key of its own."""
    fields: dict[str, str] = {}
    labels: dict[str, list[str]] = {}
    for name, value in record.items():
        if name in MIN_EXTRA:
            continue
        if isinstance(value, dict) and "choices" in value:
            labels[name] = [str(choice) for choice in value["choices"]]
        elif isinstance(value, list):
            raise UnsupportedAnnotation(f"a list under {name!r}, which labels parts of the text")
        else:
            fields |= plain_fields({name: value})
    # A single choice is written as plain text: which of the fields it is, the columns show.
    return Annotation(row_id, fields, labels, label_is_field=not labels)
