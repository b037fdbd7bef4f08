"""Records of Argilla: `records.to_json` of version 2, and the text classification records of version 1."""

from collections.abc import Mapping
from typing import Any

from atnet.onboarding.annotations import Annotation, UnsupportedAnnotation, plain_fields

USED_STATUS = (None, "submitted")


def is_argilla(record: Mapping[str, Any]) -> bool:
    """Return whether a record has the keys of either version."""
    is_second = isinstance(record.get("fields"), dict) and "responses" in record
    return is_second or ("annotation" in record and ("inputs" in record or "annotation_agent" in record))


def argilla_annotation(record: Mapping[str, Any]) -> Annotation:
    """Read a record; only submitted responses count, suggestions do not.

    Raises:
        UnsupportedAnnotation: if a response is not a label.
    """
    row_id = str(record.get("id") or "")
    if "fields" not in record:
        inputs = record.get("inputs") or {"text": record.get("text")}
        answer = record.get("annotation")
        answers = answer if isinstance(answer, list) else [] if answer is None else [answer]
        return Annotation(row_id, plain_fields(inputs), {"label": [str(value) for value in answers]})
    labels: dict[str, list[str]] = {}
    for question, responses in (record.get("responses") or {}).items():
        for response in responses if isinstance(responses, list) else [responses]:
            if isinstance(response, dict) and response.get("status") not in USED_STATUS:
                continue
            labels.setdefault(question, []).extend(_values(response))
    return Annotation(row_id, plain_fields(record["fields"]), labels)


def _values(response: Any) -> list[str]:
    value = response.get("value") if isinstance(response, dict) else response
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict) for item in values):
        raise UnsupportedAnnotation("spans or rankings, which are not labels of the text")
    return [str(item) for item in values if item is not None]
