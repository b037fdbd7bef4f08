"""Label exports of annotation tools, as the tools write them."""

import json
from pathlib import Path
from typing import Any

import pytest

from atnet.errors import DataContractError, DataFileError
from atnet.onboarding.annotation_exports import AnnotationExport, read_annotation_export


def choice(*labels: str, cancelled: bool = False, question: str = "sentiment") -> dict[str, Any]:
    value = {"choices": list(labels)}
    result = [{"id": "a1", "type": "choices", "from_name": question, "to_name": "text", "value": value}]
    return {"id": 1, "completed_by": 1, "was_cancelled": cancelled, "result": result, "lead_time": 3.1}


def task(number: int, text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "data": {"text": text, "shop": "Porto"}, "annotations": list(annotations), "predictions": []}


LABEL_STUDIO = [task(1, "fine", choice("Positive")), task(2, "bad", choice("Negative")), task(3, "not labeled")]
LABEL_STUDIO_MIN = [
    {"id": n, "text": text, "sentiment": label, "annotator": 1, "annotation_id": n, "lead_time": 2.0}
    for n, (text, label) in enumerate([("fine", "Positive"), ("bad", "Negative")], start=1)
]
DOCCANO = [
    {"id": 1, "text": "fine", "label": ["Positive"], "Comments": []},
    {"id": 2, "text": "bad", "label": ["Negative"], "Comments": []},
    {"id": 3, "text": "not labeled", "label": [], "Comments": []},
]
DOCCANO_OLD = [
    {"id": 1, "text": "fine", "annotations": [{"label": 1, "user": 1}], "meta": {}},
    {"id": 2, "text": "bad", "annotations": [{"label": 2, "user": 1}], "meta": {}},
]
PRODIGY_CHOICE = [
    {
        "text": text,
        "options": [{"id": "Positive"}, {"id": "Negative"}],
        "accept": accept,
        "answer": answer,
        "_task_hash": n,
    }
    for n, (text, accept, answer) in enumerate(
        [("fine", ["Positive"], "accept"), ("bad", ["Negative"], "accept"), ("odd", [], "ignore")]
    )
]
PRODIGY_BINARY = [
    {"text": "fine", "label": "Positive", "answer": "accept", "_input_hash": 1, "_task_hash": 1},
    {"text": "bad", "label": "Positive", "answer": "reject", "_input_hash": 2, "_task_hash": 2},
    {"text": "odd", "label": "Positive", "answer": "ignore", "_input_hash": 3, "_task_hash": 3},
]
ARGILLA = [
    {
        "id": str(n),
        "status": "completed",
        "fields": {"text": text},
        "metadata": {},
        "suggestions": {"sentiment": {"value": "Negative", "score": 0.3, "agent": "model"}},
        "responses": {"sentiment": [{"value": label, "user_id": "u", "status": status}]},
    }
    for n, (text, label, status) in enumerate(
        [("fine", "Positive", "submitted"), ("bad", "Negative", "submitted"), ("odd", "Positive", "discarded")]
    )
]
ARGILLA_OLD = [
    {"text": "fine", "inputs": {"text": "fine"}, "annotation": "Positive", "annotation_agent": "a", "id": "1"},
    {"text": "bad", "inputs": {"text": "bad"}, "annotation": "Negative", "annotation_agent": "a", "id": "2"},
    {"text": "odd", "inputs": {"text": "odd"}, "annotation": None, "annotation_agent": None, "id": "3"},
]
LABELS = ["Positive", "Negative"]


def read(path: Path, records: list[dict[str, Any]], *, lines: bool) -> AnnotationExport | None:
    text = "".join(json.dumps(record) + "\n" for record in records) if lines else json.dumps(records, indent=1)
    path.write_text(text, encoding="utf-8")
    return read_annotation_export(path)


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(
    ("tool", "records", "label", "labels"),
    [
        ("Label Studio", LABEL_STUDIO, "sentiment", LABELS),
        ("Label Studio", LABEL_STUDIO_MIN, "sentiment", LABELS),
        ("Doccano", DOCCANO, "label", LABELS),
        ("Doccano", DOCCANO_OLD, "label", ["1", "2"]),
        ("Prodigy", PRODIGY_CHOICE, "label", LABELS),
        ("Prodigy", PRODIGY_BINARY, "label", ["Positive", "not Positive"]),
        ("Argilla", ARGILLA, "sentiment", LABELS),
        ("Argilla", ARGILLA_OLD, "label", LABELS),
    ],
)
def test_every_tool_is_recognized_and_unlabeled_records_are_left_out(
    tool: str, records: list[dict[str, Any]], label: str, labels: list[str], lines: bool, tmp_path: Path
) -> None:
    export = read(tmp_path / "export.json", records, lines=lines)

    assert export is not None
    assert export.tool == tool
    assert export.table["text"].tolist() == ["fine", "bad"]
    assert export.table[label].tolist() == labels
    assert bool(export.notes) == (len(records) > 2)


def test_texts_with_several_labels_are_refused_and_named(tmp_path: Path) -> None:
    records = [*LABEL_STUDIO, task(4, "so so", choice("Positive"), choice("Negative"))]
    with pytest.raises(DataContractError, match=r"1 of 4 texts have several labels \(4: Negative, Positive\)"):
        read(tmp_path / "export.json", records, lines=False)

    agreed = read(tmp_path / "export.json", [task(1, "fine", choice("Positive"), choice("Positive"))], lines=False)
    assert agreed is not None
    assert agreed.table["sentiment"].tolist() == ["Positive"]


def test_a_skipped_annotation_does_not_count(tmp_path: Path) -> None:
    export = read(tmp_path / "export.json", [task(1, "a", choice("x", cancelled=True), choice("y"))], lines=False)

    assert export is not None
    assert export.table["sentiment"].tolist() == ["y"]


SPANS = {
    "Label Studio": [task(1, "a", {"result": [{"type": "labels", "value": {"start": 0, "labels": ["PER"]}}]})],
    "Doccano": [{"id": 1, "text": "a b", "label": [[0, 1, "PER"]]}],
    "Prodigy": [{"text": "a", "spans": [{"start": 0}], "answer": "accept", "_task_hash": 1}],
    "Argilla": [{"id": "1", "fields": {"text": "a"}, "responses": {"span": [{"value": [{"start": 0}]}]}}],
}


@pytest.mark.parametrize("tool", SPANS)
def test_labels_of_parts_of_a_text_are_refused(tool: str, tmp_path: Path) -> None:
    with pytest.raises(DataContractError, match=f"export of {tool} whose record 1 has .*one label for each whole"):
        read(tmp_path / "export.json", SPANS[tool], lines=False)


def test_two_questions_are_two_columns(tmp_path: Path) -> None:
    two = choice("x")
    two["result"] += choice("long", question="length")["result"]
    export = read(tmp_path / "export.json", [task(1, "a", two)], lines=False)

    assert export is not None
    assert export.label is None
    assert export.table.iloc[0][["sentiment", "length", "shop"]].tolist() == ["x", "long", "Porto"]


def test_rejected_answers_are_left_out_where_several_labels_were_asked(tmp_path: Path) -> None:
    records = [
        {"text": "a", "label": "x", "answer": "accept", "_task_hash": 1},
        {"text": "b", "label": "y", "answer": "accept", "_task_hash": 2},
        {"text": "c", "label": "x", "answer": "reject", "_task_hash": 3},
    ]
    export = read(tmp_path / "export.jsonl", records, lines=True)

    assert export is not None
    assert export.table["label"].tolist() == ["x", "y"]
    assert "1 rejected answers were left out" in export.notes[0]


def test_a_plain_json_array_is_a_table(tmp_path: Path) -> None:
    export = read(tmp_path / "own.json", [{"text": "a", "n": 1, "meta": {}}, {"text": "b", "n": None}], lines=False)

    assert export is not None
    assert export.tool == "JSON array"
    assert export.table.columns.tolist() == ["text", "n"]
    assert export.table["n"].tolist()[0] == "1"


@pytest.mark.parametrize("contents", ["text,label\na,b\n", '{"text": "a", "label": "x"}\n', "{broken\n"])
def test_other_files_are_no_exports(contents: str, tmp_path: Path) -> None:
    (tmp_path / "own").write_text(contents)
    assert read_annotation_export(tmp_path / "own") is None


def test_a_truncated_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps(LABEL_STUDIO)[:-20])
    with pytest.raises(DataFileError, match=r"is not valid JSON .*Export it again"):
        read_annotation_export(tmp_path / "own.json")


def test_an_export_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataContractError, match="without a label"):
        read(tmp_path / "own.json", [task(1, "a"), task(2, "b")], lines=False)
