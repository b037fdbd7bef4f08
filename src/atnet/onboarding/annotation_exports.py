"""Read the label exports of Label Studio, Doccano, Prodigy and Argilla: one label for each text."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from atnet.data.raw_bytes import open_bytes
from atnet.errors import DataContractError, DataFileError
from atnet.onboarding.annotations import Annotation, UnsupportedAnnotation, one_label
from atnet.onboarding.argilla import argilla_annotation, is_argilla
from atnet.onboarding.doccano import doccano_annotation, is_doccano
from atnet.onboarding.label_studio import is_label_studio, label_studio_annotation
from atnet.onboarding.prodigy import is_prodigy, prodigy_annotation, without_rejected

Record = Mapping[str, Any]
TOOLS: Mapping[str, tuple[Callable[[Record], bool], Callable[[Record], Annotation]]] = {
    "Label Studio": (is_label_studio, label_studio_annotation),
    "Prodigy": (is_prodigy, prodigy_annotation),
    "Argilla": (is_argilla, argilla_annotation),
    "Doccano": (is_doccano, doccano_annotation),
}
HEAD_BYTES = 1 << 16
MAX_LISTED = 3


@dataclass(frozen=True, slots=True)
class AnnotationExport:
    """The labeled texts of an export, as a table of strings."""

    tool: str
    table: pd.DataFrame
    label: str | None
    """The column of the labels; None if several questions were answered."""
    notes: tuple[str, ...]
    """What was left out."""


def read_annotation_export(path: Path) -> AnnotationExport | None:
    """Read an export; None if the file is not JSON or not an export of a known tool.

    Raises:
        DataFileError: if the file looks like an export but is not valid JSON.
        DataContractError: if a text has several labels, or annotations are not labels of whole texts.
    """
    with open_bytes(path) as stream:
        head = stream.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] not in (b"[", b"{"):
        return None
    records = list(_records(path, is_array=head.startswith(b"[")))
    for tool, (recognizes, convert) in TOOLS.items():
        if records and any(recognizes(record) for record in islice(records, 20)):
            return _convert(path, tool, records, convert)
    if head.startswith(b"[") and records:
        return AnnotationExport("JSON array", _plain_table(records), None, ())
    return None


def _records(path: Path, *, is_array: bool) -> Iterator[Record]:
    with open_bytes(path) as stream:
        try:
            text = stream.read().decode("utf-8-sig")
            values = json.loads(text) if is_array else [json.loads(line) for line in text.splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise DataFileError(f"{path} is not UTF-8, as JSON must be ({error.reason}). Export it again.") from error
        except ValueError as error:
            if not is_array:
                return  # the reader of JSON Lines names the line
            raise DataFileError(f"{path} is not valid JSON ({error}). Export it again.") from error
    yield from (value for value in values if isinstance(value, dict))


def _convert(
    path: Path, tool: str, records: Sequence[Record], convert: Callable[[Record], Annotation]
) -> AnnotationExport:
    annotations, unlabeled, several = [], 0, []
    for number, record in enumerate(records, start=1):
        try:
            annotation = convert(record)
        except UnsupportedAnnotation as error:
            raise DataContractError(
                f"{path} is an export of {tool} whose record {number:,} has {error}. A text classifier needs one "
                "label for each whole text: export a project of text classification."
            ) from error
        if any(len(set(labels)) > 1 for labels in annotation.labels.values()):
            several.append((annotation, number))
        elif annotation.label_is_field or any(annotation.labels.values()):
            annotations.append(annotation)
        else:
            unlabeled += 1
    if several:
        raise DataContractError(_several_labels(path, tool, len(records), several))
    if not annotations:
        raise DataContractError(f"{path} is an export of {tool} without a label. Label the texts and export again.")
    used = without_rejected(annotations) if tool == "Prodigy" else annotations
    notes = [f"{unlabeled:,} records without a label were left out"] if unlabeled else []
    if len(used) < len(annotations):
        notes.append(f"{len(annotations) - len(used):,} rejected answers were left out: the right label is not known")
    questions = {question for annotation in used for question in annotation.labels}
    return AnnotationExport(tool, _table(used), next(iter(questions)) if len(questions) == 1 else None, tuple(notes))


def _several_labels(path: Path, tool: str, records: int, several: Sequence[tuple[Annotation, int]]) -> str:
    listed = "; ".join(
        f"{annotation.row_id or f'record {number:,}'}: "
        + ", ".join(sorted({label for labels in annotation.labels.values() for label in labels}))
        for annotation, number in several[:MAX_LISTED]
    )
    return (
        f"{path} is an export of {tool} in which {len(several):,} of {records:,} texts have several labels ({listed}). "
        "This project trains one label for each text: decide on one in the tool, or remove those texts, and export "
        "again."
    )


def _table(annotations: Sequence[Annotation]) -> pd.DataFrame:
    rows = []
    for annotation in annotations:
        labels = {question: one_label(answers) for question, answers in annotation.labels.items()}
        rows.append({**({"id": annotation.row_id} if annotation.row_id else {}), **annotation.fields, **labels})
    return _strings(pd.DataFrame(rows))


def _plain_table(records: Sequence[Record]) -> pd.DataFrame:
    nested = {name for record in records for name, value in record.items() if isinstance(value, dict | list)}
    return _strings(pd.DataFrame([{k: v for k, v in record.items() if k not in nested} for record in records]))


def _strings(table: pd.DataFrame) -> pd.DataFrame:
    """Return all values as strings, missing ones as null."""
    columns = {name: [_string(value) for value in table[name]] for name in table.columns}
    return pd.DataFrame(columns, dtype="str")


def _string(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
