"""Checks of parameters and data file before DVC starts (`atnet check`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from atnet.cli.check import check_inputs, setting_notes
from atnet.config import Params
from atnet.errors import AtnetError, ConfigurationError, DataContractError, DataFileError
from atnet.stages.validate import main as validate
from tests.settings import LABELED, params_file, params_with
from tests.texts import labeled_texts


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def own_data(contents: str, *changes: Mapping[str, Mapping[str, Any]]) -> Params:
    Path("own.csv").write_text(contents, encoding="utf-8")
    return params_with(LABELED, {"data": {"path": "own.csv"}}, *changes)


def test_a_valid_file_is_summarized_in_one_line() -> None:
    lines = check_inputs(own_data(labeled_texts(40).to_csv(index=False)))

    assert lines == ["own.csv: 40 rows, 2 labels (negative, positive)."]


def test_rows_in_the_neutral_band_are_counted() -> None:
    rows = "".join(f"{n},text {n},{rating},web\n" for n, rating in enumerate([-2, 2] * 20 + [0.1]))
    Path("own.csv").write_text("id,text,rating,domain\n" + rows)

    assert check_inputs(params_with({"data": {"path": "own.csv"}})) == [
        "own.csv: 41 rows, 1 excluded by neutral_band, 2 labels (negative, positive)."
    ]


def test_the_default_data_may_be_missing(params: Params) -> None:
    assert check_inputs(params) == [
        "data/01_raw/sentiment.csv does not exist yet: the sample stage will download the default data."
    ]


def test_own_data_must_exist() -> None:
    with pytest.raises(DataFileError, match=r"own.csv is missing. Put your file there, or set data.path"):
        check_inputs(params_with(LABELED, {"data": {"path": "own.csv"}}))


def test_the_message_for_a_tracked_file_says_how_to_check_it_out() -> None:
    Path("own.csv.dvc").write_text("outs: []\n")

    with pytest.raises(DataFileError, match=r"DVC tracks it. Run `dvc checkout own.csv`, or `dvc pull own.csv`"):
        check_inputs(params_with(LABELED, {"data": {"path": "own.csv"}}))


@pytest.mark.parametrize("path", ["data/02_validated/table.parquet", "data/../data/03_splits/train.parquet"])
def test_a_file_in_the_folder_of_a_stage_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"where the pipeline writes. Move the file"):
        check_inputs(params_with(LABELED, {"data": {"path": path}}))


def test_a_file_beside_the_folders_of_the_stages_or_in_raw_is_accepted() -> None:
    for path in ("data/own.csv", "data/01_raw/own.csv", "data/02_validated_by_hand.csv"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        labeled_texts(20).to_csv(path, index=False)
        assert check_inputs(params_with(LABELED, {"data": {"path": path}}))


@pytest.mark.parametrize(
    ("contents", "change", "expected"),
    [
        ("id,text,label\n1,a,x\n2,b,x\n", {}, "has only the label 'x'; a classifier needs two"),
        ("id,text,label\n1,a,\n", {}, "has no row with an allowed label"),
        ("id,text,label\n1,a,0\n2,b,1\n", {"labels": ["x", "y"]}, "has no row with an allowed label"),
        ("id,text,label\n1,a,x\n2,b,y\n", {"labels": ["x", "y", "z"]}, "has 2 labeled rows for 3 labels"),
        ("id,text,label\n1,a,x\n2,b,y\n", {"labels": ["x"]}, "fewer than two labels"),
        ("id,body,label\n1,a,x\n", {}, "has no column 'text'"),
        ("", {}, "own.csv is empty"),
    ],
)
def test_data_that_a_model_cannot_be_trained_on_are_refused(
    contents: str, change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(AtnetError, match=expected):
        check_inputs(own_data(contents, {"validate": change}))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_label_that_never_occurs_in_train_is_refused(split: str) -> None:
    rows = f"1,a,x,train\n2,b,y,train\n3,c,z,{split}\n4,d,z,{split}\n"
    params = own_data("id,text,label,part\n" + rows, {"data.columns": {"split": "part"}})

    with pytest.raises(DataContractError, match=r"the label 'z' occurs in .* but never in train"):
        check_inputs(params)


def test_an_unknown_encoding_is_refused_even_if_the_file_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="no text encoding"):
        check_inputs(params_with({"data": {"encoding": "utf-88"}}))


def test_with_only_the_path_changed_one_run_lists_everything_left_to_set() -> None:
    labeled_texts(40)[["text", "label"]].to_csv("own.csv", index=False)
    with pytest.raises(DataContractError) as raised:
        check_inputs(params_with({"data": {"path": "own.csv"}}))
    settings = [line.partition("  #")[0].strip() for line in str(raised.value).splitlines()[1:]]

    assert settings == [
        "data.columns.id: null",
        "data.columns.rating: null",
        "data.columns.slices: []",
        "validate.label_from_rating: null",
        "data.columns.label: label",
    ]
    changes: dict[str, dict[str, Any]] = {"data": {"path": "own.csv"}}
    for setting in settings:
        key, _, value = setting.partition(": ")
        section, _, name = key.rpartition(".")
        changes.setdefault(section, {})[name] = {"null": None, "[]": []}.get(value, value)
    lines = check_inputs(params_with(changes))
    assert lines[0] == "own.csv: 40 rows, 2 labels (negative, positive)."


@pytest.mark.parametrize(
    ("columns", "proposed"),
    [
        ("review,class", ["data.columns.text: review", "data.columns.label: class"]),
        ("texto,categoria", ["data.columns.text: texto", "data.columns.label: categoria"]),
        ("Text,Label", ["data.columns.text: Text", "data.columns.label: Label"]),
        ("a,b", ["data.columns.text: <one of 'a', 'b'>", "data.columns.label: <one of 'a', 'b'>"]),
    ],
)
def test_names_are_proposed_only_where_one_column_is_likely(columns: str, proposed: list[str]) -> None:
    Path("own.csv").write_text(f"{columns}\nfine,x\nbad,y\n", encoding="utf-8")
    with pytest.raises(DataContractError) as raised:
        check_inputs(params_with({"data": {"path": "own.csv"}}))

    for setting in proposed:
        assert setting in str(raised.value)


TWICE = labeled_texts(60).to_csv(index=False)
WHAT_VALIDATE_REFUSES = {
    "a rare label": (TWICE + "a,odd one,rare\nb,odd two,rare\n", {}, "'rare': 2 rows"),
    "blank rows": (TWICE + ",,\n" * 40, {}, "text_not_blank in 40 rows"),
    "a second header": (TWICE + "id,text,label\n", {}, "data row 61 repeats the header"),
    "labels that are not allowed": (TWICE, {"labels": ["negative", "Positive"]}, "did you mean 'positive'"),
    "one label": ("id,text,label\n" + "".join(f"{n},t{n},x\n" for n in range(9)), {}, "only the label 'x'"),
    "repeated ids": ("id,text,label\n" + "".join(f"1,t{n},{n % 2}\n" for n in range(40)), {}, "unique_id in 39 rows"),
    "duplicates": (
        "id,text,label\n" + "".join(f"{n},t,{n % 2}\n" for n in range(40)),
        {"duplicates": {"max_fraction": 0.2, "severity": "critical"}},
        "duplicates is 0.975, allowed at most 0.2",
    ),
    "a label map that matches nothing": (TWICE, {"label_map": {"neg": "bad"}}, "no row has the label 'neg'"),
    "long texts": (
        TWICE,
        {"text_words": {"min_value": 1, "max_value": 3, "severity": "critical"}, "long_texts": "quarantine"},
        "text_words in 60",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WHAT_VALIDATE_REFUSES)
def test_check_refuses_what_validate_refuses(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    contents, values, expected = WHAT_VALIDATE_REFUSES[case]
    params = own_data(contents, {"validate": values})
    with pytest.raises(AtnetError) as raised:
        check_inputs(params)
    assert expected in str(raised.value)

    params_file(Path(), LABELED, {"data": {"path": "own.csv"}, "validate": values})
    assert validate([]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_check_and_validate_print_the_same_counts(capsys: pytest.CaptureFixture[str]) -> None:
    contents = TWICE + "x, ,positive\ny,fine,Positive \n" + "".join(f"z{n},text {n},POSITIVE\n" for n in range(8))
    lines = check_inputs(own_data(contents, {"validate": {"rows_per_label": {"min_rows": 3, "severity": "off"}}}))
    params_file(
        Path(),
        LABELED,
        {"data": {"path": "own.csv"}, "validate": {"rows_per_label": {"min_rows": 3, "severity": "off"}}},
    )
    assert validate([]) == 0
    printed = capsys.readouterr().out

    assert "1 quarantined (text_not_blank 1" in lines[0]
    assert "1 quarantined (text_not_blank 1" in printed
    noted = [line for line in lines if line.startswith("note: ") and "soft_target_slope" not in line]
    assert len(noted) == 2
    assert all(line in printed for line in noted)


def test_several_faults_of_a_file_are_named_at_once() -> None:
    contents = "id,text,label,r,w,s\n1,a,x,good,0,train\n2,b,y,1,1,holdout\n"
    columns = {"rating": "r", "weight": "w", "split": "s"}
    with pytest.raises(DataContractError) as raised:
        check_inputs(own_data(contents, {"data.columns": columns}))

    for expected in (
        "the split of data row 2 is 'holdout'",
        "the rating of data row 1 is 'good'",
        "the weight of data",
    ):
        assert expected in str(raised.value)


def test_contradictions_of_settings_and_a_missing_file_are_named_at_once() -> None:
    with pytest.raises(AtnetError) as raised:
        check_inputs(
            params_with(LABELED, {"data": {"path": "no.csv", "encoding": "utf-88"}, "validate": {"labels": ["x"]}})
        )

    for expected in ("no text encoding 'utf-88'", "fewer than two labels", "no.csv is missing"):
        assert expected in str(raised.value)


def test_a_label_column_beside_the_rating_rule_is_refused() -> None:
    Path("own.csv").write_text("id,text,label,rating,domain\n1,a,x,1,web\n2,b,y,-1,web\n", encoding="utf-8")
    params = params_with({"data": {"path": "own.csv"}, "data.columns": {"label": "label"}})

    with pytest.raises(ConfigurationError, match=r"data.columns.label \(label\) would be ignored"):
        check_inputs(params)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"train": {"soft_target_slope": 1.0}}, "train.soft_target_slope has no effect"),
        ({"train": {"attention": "published", "wide": True}}, "train.wide has no effect"),
        ({"tokenize": {"max_length": 4000}}, "tokenize.max_length_limit has no effect"),
    ],
)
def test_settings_that_switch_another_off_are_noted(change: dict[str, dict[str, Any]], expected: str) -> None:
    assert expected in "\n".join(setting_notes(params_with(LABELED, change), labels=2))


def test_encoding_and_columns_are_named_at_once_in_the_words_to_type() -> None:
    rows = "".join(f"péssimo {n};{n % 2}\n" for n in range(40))
    Path("own.csv").write_bytes(("texto;rotulo\n" + rows).encode("latin-1"))
    with pytest.raises(DataContractError) as raised:
        check_inputs(params_with({"data": {"path": "own.csv"}}))

    lines = str(raised.value).splitlines()
    assert lines[0].startswith("own.csv has no columns 'text', 'id', 'rating', 'domain'")
    assert "atnet init own.csv" in lines[0]
    assert [line.partition("  #")[0].strip() for line in lines[1:]] == [
        "data.encoding: latin-1",
        "data.columns.text: texto",
        "data.columns.id: null",
        "data.columns.rating: null",
        "data.columns.slices: []",
        "validate.label_from_rating: null",
        "data.columns.label: rotulo",
    ]


def test_a_wrong_key_of_the_label_map_does_not_hide_other_faults() -> None:
    contents = TWICE + ",,\n" * 40
    with pytest.raises(AtnetError) as raised:
        check_inputs(own_data(contents, {"validate": {"label_map": {"neg": "bad"}}}))

    assert "no row has the label 'neg'" in str(raised.value)
    assert "text_not_blank in 40 rows" in str(raised.value)


def test_labels_that_are_mapped_to_null_are_left_out_and_counted() -> None:
    contents = TWICE + "".join(f"x{n},unclear {n},?\n" for n in range(9))
    lines = check_inputs(own_data(contents, {"validate": {"label_map": {"?": None}}}))

    assert lines[0] == "own.csv: 69 rows, 9 excluded by label_map, 2 labels (negative, positive)."


def test_warnings_are_named_with_numbers() -> None:
    contents = "id,text,label\n" + "".join(f"{n},text {n // 2},{n % 4 // 2}\n" for n in range(80))
    lines = check_inputs(own_data(contents))

    assert "warning: duplicates 0.5 (at most 0.2; 40 of 80 rows)" in lines


def vectors_of(words: str, values: str = "0.1 0.2 0.3") -> None:
    """Write a word-vector file."""
    Path("vectors.txt").write_text("".join(f"{word} {values}\n" for word in words.split()), encoding="utf-8")


PRETRAINED = {"vectors": {"pretrained": "vectors.txt"}}


def test_pretrained_vectors_and_unlabeled_texts_are_summarized() -> None:
    vectors_of("the film plot")
    Path("more.jsonl").write_text('{"text": "one more"}\n')
    change = {"vectors": {"pretrained": "vectors.txt", "unlabeled": "more.jsonl"}}
    lines = check_inputs(own_data(TWICE, change))

    assert lines[1:] == [
        "vectors.txt: word vectors of 3 values.",
        "note: set vectors.pretrained_source and vectors.pretrained_license: the model card states where the vectors "
        "come from.",
        "more.jsonl: unlabeled texts.",
    ]


def test_vectors_of_another_language_or_damaged_ones_are_refused() -> None:
    vectors_of("palavra filme enredo")
    with pytest.raises(DataContractError, match=r"None of the first 3 words of vectors.txt occurs in the texts"):
        check_inputs(own_data(TWICE, PRETRAINED))
    vectors_of("the film")
    with Path("vectors.txt").open("a") as file:
        file.write("plot 0.1 0.2\n")
    with pytest.raises(DataFileError, match=r"vectors.txt, line 3 has 2 values after the word"):
        check_inputs(own_data(TWICE, PRETRAINED))


def test_missing_vectors_are_named_with_the_faults_of_the_data() -> None:
    with pytest.raises(AtnetError) as raised:
        check_inputs(own_data("id,text,label\n" + "".join(f"{n},t{n},x\n" for n in range(9)), PRETRAINED))

    assert "only the label 'x'" in str(raised.value)
    assert "vectors.txt is missing. Put your word vectors there" in str(raised.value)


def test_unlabeled_texts_need_the_text_column_and_may_not_be_an_output() -> None:
    Path("more.csv").write_text("body\nfine\n")
    with pytest.raises(DataContractError, match="'text'"):
        check_inputs(own_data(TWICE, {"vectors": {"unlabeled": "more.csv"}}))
    with pytest.raises(ConfigurationError, match=r"vectors.unlabeled data/03_splits/x.csv is inside data/03_splits"):
        check_inputs(own_data(TWICE, {"vectors": {"unlabeled": "data/03_splits/x.csv"}}))
