"""Names, parameters, metrics and notes of a run, without MLflow."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from atnet.config import SPLITS, Params
from atnet.tracking.descriptions import Links, is_own_note, model_note, run_note
from atnet.tracking.run_contents import (
    RunContents,
    SplitFile,
    curve_points,
    flat_metrics,
    flat_params,
    receipt,
    run_name,
    vector_tags,
)
from tests.finishedproject import DETAILS, METRICS, SLICES, interval

LINKS = Links(report="#/report", model="#/model", model_uri="models:/m-1")


@pytest.fixture
def contents(params: Params, tmp_path: Path) -> RunContents:
    report = tmp_path / "report.html"
    report.write_text("<h1>Report</h1>")
    return RunContents(
        model_sha256="ab" * 32,
        run_name="pooled 84.0% abababab",
        params=flat_params(params),
        metrics=flat_metrics(METRICS, SLICES),
        curves=[(1, {"train_loss": 0.5})],
        splits=[SplitFile(name, "0" * 32, f"data/{name}.parquet", 1200, {}) for name in SPLITS],
        artifacts={"evaluation/report.html": report},
        settings={"seed": 13},
        model_files=[],
        example=["a text"],
        results=METRICS,
        details=DETAILS,
        slices=SLICES,
    )


def test_parameters_are_named_by_their_key_in_params_yaml(params: Params) -> None:
    flat = flat_params(params)
    assert flat["train.seed"] == str(params.train.seed)
    assert flat["validate.text_words.max_value"] == "4000"
    assert flat["data.columns.slices"] == '["domain"]'
    assert flat["tokenize.max_length"] == "null"


def test_settings_that_do_not_determine_the_model_are_not_logged_as_parameters(params: Params) -> None:
    assert not [name for name in flat_params(params) if name.startswith(("evaluate.", "tracking."))]


def test_source_and_license_of_vectors_are_tags_because_parameters_cannot_be_corrected(params: Params) -> None:
    assert flat_params(params)["vectors.pretrained"] == "data/none"
    assert not [name for name in flat_params(params) if name.endswith(("_source", "_license"))]
    assert vector_tags(params) == {}
    vectors = {"pretrained": "glove.txt", "pretrained_source": "GloVe 6B"}
    used = params.model_copy(update={"vectors": params.vectors.model_copy(update=vectors)})
    assert vector_tags(used) == {"pretrained.source": "GloVe 6B", "pretrained.license": "not recorded"}


def test_metrics_are_grouped_before_the_slash() -> None:
    metrics = flat_metrics(METRICS, SLICES)
    assert metrics["test/accuracy"] == 0.84
    assert metrics["test_baseline/nb_svm.accuracy"] == 0.8
    selective = {"target_accuracy": 0.9, "coverage": {"value": 0.7, "low": 0.6, "high": 0.8}}
    assert flat_metrics({"selective": selective}, {})["test_selective/coverage"] == 0.7
    assert metrics["test_calibration/error_after"] == 0.02
    assert metrics["test_slice/domain.movie.accuracy"] == 0.8
    assert metrics["test_slice/unknown words.up to 5 percent.macro_f1"] == 0.9
    assert not [name for name in metrics if "tweets" in name], "a slice without scores has no metric"


def test_curves_have_their_own_prefix_and_six_digits() -> None:
    assert curve_points({"learning_rate": 0.0010000000474974513}) == {"curve/learning_rate": 0.001}


def test_slice_values_that_mlflow_does_not_allow_get_unique_metric_names() -> None:
    scored = {"rows": 50, "accuracy": interval(0.5)}
    metrics = flat_metrics({}, {"site": {"a/b": scored, "a?b": scored, "São Paulo": scored, "../..": scored}})
    assert set(metrics) == {
        "test_slice/site._.accuracy",
        "test_slice/site.São Paulo.accuracy",
        "test_slice/site.a_b.accuracy",
        "test_slice/site.a_b.accuracy 2",
    }


def test_unknown_numbers_are_not_logged() -> None:
    unknown = {"accuracy": interval(0.5), "roc_auc": {"value": None, "low": None, "high": None}}
    assert flat_metrics(unknown, {}) == {"test/accuracy": 0.5}


def test_a_run_name_identifies_the_model() -> None:
    assert run_name("pooled", METRICS, "0123456789") == "pooled 84.0% 01234567"


def test_the_note_shows_the_result_beside_the_baselines_with_intervals(contents: RunContents) -> None:
    note = run_note(contents, LINKS, 0.95)
    assert note.startswith("AtNet predicts the right label for 84.0% of 40 test texts (95% interval 82.0% to 86.0%)")
    assert "| **AtNet** | 84.0% (82.0% to 86.0%) | 0.830 (0.810 to 0.850) |" in note
    assert "| NB-SVM | 80.0% (78.0% to 82.0%) | 0.790 (0.770 to 0.810) |" in note
    assert note.index("NB-SVM | 80") < note.index("majority class | 55")
    assert "| negative | 18 | 0.820 | 0.840 | 0.830 (0.810 to 0.850) |" in note
    assert "| domain: movie | 25 | 80.0% (78.0% to 82.0%) | +1.0 (-1.0 to +3.0) |" in note
    assert "[Report](#/report)" in note
    assert "Trained on 1,200 texts" in note


def test_a_label_cannot_break_the_tables_of_the_note(contents: RunContents) -> None:
    labels = {"a|b\nc": DETAILS["labels"]["negative"]}
    note = run_note(_with(contents, details={**DETAILS, "labels": labels}), LINKS, 0.95)
    assert "| a\\|b c | 18 |" in note


def test_labels_slices_and_texts_are_shown_in_notes_and_never_run(contents: RunContents) -> None:
    hostile = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) **x**"
    changed = _with(
        contents,
        details={**DETAILS, "labels": {hostile: DETAILS["labels"]["negative"]}},
        slices={hostile: {hostile: {"rows": 40, "accuracy": 0.5}}},
        example=[f"{hostile}\n```\n<script>"],
    )
    for note in (run_note(changed, LINKS, 0.95), model_note(changed, LINKS, 0.95)):
        html = MarkdownIt("commonmark", {"html": True}).enable("table").render(note)
        assert not re.search(r"<(img|script|strong>x)|javascript:[^<]*\"", html)
        assert "&lt;img src=x" in html


def test_a_note_knows_whether_somebody_has_edited_it(contents: RunContents) -> None:
    note = run_note(contents, LINKS, 0.95)
    assert is_own_note(note)
    assert not is_own_note(note.replace("84.0%", "94.0%"))
    assert not is_own_note(f"{note}\n\nChecked by me.")
    assert not is_own_note("Checked by me.")


def test_the_model_page_shows_how_to_call_the_model(contents: RunContents) -> None:
    note = model_note(contents, LINKS, 0.95)
    assert 'mlflow.pyfunc.load_model("models:/m-1")' in note
    assert 'model.predict(["a text"])' in note


def test_the_receipt_is_the_same_for_the_same_contents(contents: RunContents) -> None:
    first, second = receipt(contents), receipt(_with(contents))
    assert json.dumps(first) == json.dumps(second)
    assert first["model_sha256"] == "ab" * 32
    assert first["files"]["evaluation/report.html"].startswith("a8333b42")


def _with(contents: RunContents, **changes: object) -> RunContents:
    return replace(contents, **changes)  # type: ignore[arg-type]
