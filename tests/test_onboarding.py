"""Proposals for a user's own file: how it is read, what its columns mean, which labels it has."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from atnet.config import Params
from atnet.errors import ConfigurationError, DataContractError, DataFileError
from atnet.onboarding.choices import OpenQuestion, quote_argument
from atnet.onboarding.column_profiles import profile_columns
from atnet.onboarding.column_roles import ColumnOptions, propose_roles
from atnet.onboarding.database import sqlite_query
from atnet.onboarding.label_maps import propose_label_map
from atnet.onboarding.language import guess_language
from atnet.onboarding.options import Stars, parse_label_map, parse_list
from atnet.onboarding.placing import copy_file, target_path
from atnet.onboarding.proposal import LabelOptions, propose_settings
from atnet.onboarding.sniffing import ReadingOptions, SniffedFile, sniff_file
from tests.texts import labeled_texts


def sniff(path: Path, params: Params, **options: str) -> SniffedFile:
    return sniff_file(path, params.data, ReadingOptions(**options))


def raise_choices(table: pd.DataFrame) -> None:
    """Raise what `atnet init` shows if no columns are specified."""
    roles = propose_roles(table, profile_columns(table), ColumnOptions())
    if roles.choices:
        raise OpenQuestion(roles.choices)


def settings_of(table: pd.DataFrame, params: Params, **columns: Any) -> dict[str, Any]:
    data = params.data.model_copy(update={"path": "data/01_raw/own.csv"})
    return propose_settings(table.astype("str"), data, ColumnOptions(**columns), LabelOptions()).settings


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encoding_and_separator_are_found(encoding: str, separator: str, tmp_path: Path, params: Params) -> None:
    quote = "\u201c" if encoding == "cp1252" else ""
    texts = [f"{quote}péssimo, não volto mais; {n}" for n in range(30)]
    table = pd.DataFrame({"texto": texts, "rotulo": ["a", "b"] * 15})
    path = tmp_path / "own.csv"
    table.to_csv(path, sep=separator, encoding=encoding, index=False)
    sniffed = sniff(path, params)

    assert sniffed.data.encoding == encoding
    assert sniffed.table["texto"].tolist() == texts
    assert list(sniffed.table) == ["texto", "rotulo"]


def test_a_separator_in_the_header_does_not_decide(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "own.csv"
    path.write_text("text, as written, by the guest;label\n" + "fine room;x\n" * 5 + "bad room;y\n" * 5)
    sniffed = sniff(path, params)

    assert list(sniffed.table) == ["text, as written, by the guest", "label"]
    assert sniffed.data.separator == ";"


def test_a_file_whose_encoding_nothing_shows_ends_in_a_question(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(b"text,label\n" + "плохо,x\nхорошо,y\n".encode("cp1251"))
    with pytest.raises(DataFileError, match=r"cp1251 .*The option is --encoding NAME"):
        sniff(path, params)

    assert sniff(path, params, encoding="cp1251").table["text"].tolist() == ["плохо", "хорошо"]


@pytest.mark.parametrize(
    "first", ["ham,Go until jurong point", "ham,this is the first text of the file and not a name"]
)
def test_a_file_without_a_header_is_refused(first: str, tmp_path: Path, params: Params) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{first}\n" + "ham,fine\nspam,win a prize\n" * 20)
    with pytest.raises(DataContractError, match="seems to have no header"):
        sniff(path, params)


def test_json_lines_and_parquet_are_read_without_nested_columns(tmp_path: Path, params: Params) -> None:
    rows = [{"text": f"text {n}", "label": n % 2, "meta": {"n": n}, "tags": ["a"]} for n in range(10)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pd.DataFrame(rows).to_parquet(tmp_path / "own.parquet")
    for name in ("own.jsonl", "own.parquet"):
        table = sniff(tmp_path / name, params).table
        assert list(table) == ["text", "label"]
        assert table["label"].tolist() == ["0", "1"] * 5


def test_every_setting_that_depends_on_the_file_is_proposed(params: Params) -> None:
    table = labeled_texts(4000).assign(shop=["Porto", "Lisboa"] * 2000, part=(["train"] * 3 + ["test"]) * 1000)
    settings = settings_of(table, params)

    columns = {"text": "text", "label": "label", "id": "id", "split": "part", "rating": None, "weight": None}
    assert {key: settings[f"data.columns.{key}"] for key in columns} == columns
    assert settings["data.columns.slices"] == ["shop"]
    assert settings["validate.label_from_rating"] is None
    assert settings["validate.label_map"] == {}
    assert settings["train.soft_target_slope"] is None
    assert settings["release.model_card.limits"] == []


def test_two_columns_of_texts_are_a_question_whatever_their_names() -> None:
    texts = labeled_texts(100)
    table = texts.assign(title=texts["text"].str.slice(0, 40))
    roles = propose_roles(table, profile_columns(table), ColumnOptions())

    assert [choice.option for choice in roles.choices] == ["--text"]
    assert roles.choices[0].answers == ("text", "title")
    named = propose_roles(table, profile_columns(table), ColumnOptions(text="title"))
    assert (named.columns.text, named.choices) == ("title", [])


def test_two_columns_of_labels_are_a_question_unless_one_has_a_usual_name(params: Params) -> None:
    table = labeled_texts(100).assign(topic=["a", "b", "c", "d"] * 25)
    assert settings_of(table, params)["data.columns.label"] == "label"
    with pytest.raises(OpenQuestion, match=r"2 columns could be the label: 'mood' .*\n  --label mood\n  --label topic"):
        settings_of(table.rename(columns={"label": "mood"}), params)
    assert settings_of(table.rename(columns={"label": "stars"}), params)["data.columns.label"] == "stars"


def test_a_column_that_tells_the_label_is_no_slice(params: Params) -> None:
    table = labeled_texts(200)
    assert settings_of(table.assign(code=table["label"].str.upper()), params)["data.columns.slices"] == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([""] * 100, "'label' is empty"),
        (["good"] * 100, "'label' has only the value 'good'"),
        ([f"label {n}" for n in range(100)], "'label' has 100 different values in 100 rows"),
        ([f"{n},5" for n in range(100)], "'label' has numbers with a decimal comma"),
    ],
)
def test_a_column_that_cannot_be_the_label_is_named_with_the_reason(labels: list[str], reason: str) -> None:
    table = labeled_texts(100)[["text"]].assign(label=labels)
    with pytest.raises(DataContractError, match=f"No column has labels: {reason}"):
        raise_choices(table)


def test_a_column_without_two_values_is_not_offered_as_the_label() -> None:
    table = labeled_texts(100)[["text"]].assign(label="good", number=[str(n % 50) for n in range(100)])
    roles = propose_roles(table, profile_columns(table), ColumnOptions())

    assert roles.choices[0].answers == ("number",)


@pytest.mark.parametrize("number", [[str(n) for n in range(100)], ["7"] * 100])
def test_with_one_label_neither_the_texts_nor_another_column_is_offered(number: list[str]) -> None:
    short = pd.DataFrame({"text": [f"film {n}" for n in range(100)], "label": "good", "number": number})
    for table in (short, labeled_texts(100)[["text"]].assign(label="good", number=number)):
        with pytest.raises(DataContractError) as raised:
            raise_choices(table)
        assert "'label' has only the value 'good'" in str(raised.value)
        assert "two labels or more, each in several rows" in str(raised.value)
        assert "--label" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([str(n * 1.5) for n in range(100)], "has only numbers"),
        ([f"{n},5" for n in range(100)], "has only numbers"),
        ([""] * 100, "is empty"),
    ],
)
def test_a_column_without_texts_cannot_be_chosen_as_the_text(values: list[str], reason: str, params: Params) -> None:
    table = labeled_texts(100)[["text", "label"]].assign(number=values)
    with pytest.raises(ConfigurationError) as raised:
        settings_of(table, params, text="number")
    assert str(raised.value) == f"--text number: the column {reason}. Choose a column of texts: text."
    with pytest.raises(ConfigurationError, match=rf"{reason}\. Add a column of texts to the file, or choose another"):
        settings_of(table[["label", "number"]], params, text="number")


def test_a_file_without_texts_is_refused_and_the_label_is_not_offered_as_the_text(params: Params) -> None:
    table = labeled_texts(100)[["label"]].assign(number=[str(n) for n in range(100)])
    with pytest.raises(DataContractError, match=r"No column has texts: 'label' has 2 .*; 'number' has only numbers\."):
        settings_of(table, params)


def test_short_texts_are_offered_as_the_text() -> None:
    table = pd.DataFrame({"query": [f"film {n}" for n in range(100)], "label": ["good", "bad"] * 50})
    roles = propose_roles(table, profile_columns(table), ColumnOptions())
    assert [(choice.option, choice.answers) for choice in roles.choices] == [("--text", ("query",))]


def test_a_column_cannot_be_the_text_and_have_another_role(params: Params) -> None:
    with pytest.raises(ConfigurationError, match=r"--text and --label name the same column, 'text'\. Give each"):
        settings_of(labeled_texts(100), params, text="text", label="text")


def test_a_column_whose_values_do_not_repeat_cannot_be_the_label(params: Params) -> None:
    table = labeled_texts(100).assign(number=[str(n) for n in range(100)])
    with pytest.raises(DataContractError, match=r"'number' has 100 different values in 100 rows; a label must occur"):
        settings_of(table, params, label="number")


def test_a_file_without_a_second_column_is_refused_without_options(params: Params) -> None:
    with pytest.raises(DataContractError, match=r"there is only the text\. A classifier needs a column"):
        settings_of(labeled_texts(100)[["text"]], params)


@pytest.mark.parametrize(("value", "labels"), [("good", "only the label 'good'"), ("", "no labels")])
def test_fewer_than_two_labels_are_refused_before_anything_is_written(value: str, labels: str, params: Params) -> None:
    table = labeled_texts(100)[["text"]].assign(label=value)
    with pytest.raises(DataContractError, match=f"column 'label' has {labels}; a classifier needs two"):
        settings_of(table, params, label="label")


def test_spaces_around_a_column_name_do_not_hide_its_meaning(params: Params) -> None:
    table = labeled_texts(100)
    table[" Label "] = table.pop("label").map({"positive": "pos", "negative": "neg"})
    settings = settings_of(table.drop(columns="id"), params)

    assert settings["data.columns.label"] == " Label "
    assert settings["validate.label_map"] == {"neg": "negative", "pos": "positive"}


def test_a_damaged_parquet_file_is_no_question_of_its_encoding(tmp_path: Path, params: Params) -> None:
    (tmp_path / "data.parquet").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataFileError, match=r"data\.parquet is damaged or not a Parquet file"):
        sniff_file(tmp_path / "data.parquet", params.data, ReadingOptions())


def test_an_option_for_reading_must_exist(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "own.csv"
    labeled_texts(30).to_csv(path, index=False)
    with pytest.raises(ConfigurationError, match=r"--encoding: there is no text encoding 'utf-9'\. Did you mean"):
        sniff(path, params, encoding="utf-9")


def test_an_error_offers_only_the_options_of_the_format(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"text": "good", "label": "a"}\n{"text": "bad", "label"\n')
    with pytest.raises(DataFileError, match=r"line 2 is not JSON .* Options: --encoding, --format\.$"):
        sniff(path, params)


def test_labels_come_from_signed_ratings_where_there_is_no_label(params: Params) -> None:
    table = labeled_texts(100).drop(columns="label").assign(score=[-2.5, 1.5, -1, 3, 0.5] * 20)
    settings = settings_of(table, params)

    assert settings["data.columns.label"] is None
    assert settings["data.columns.rating"] == "score"
    assert settings["validate.label_from_rating"]["positive"] == "positive"
    assert settings["train.soft_target_slope"] == 1.5


def test_an_option_that_names_no_column_is_refused(params: Params) -> None:
    with pytest.raises(ConfigurationError, match=r"--text body: the file has no such column\. It has id, text, label"):
        settings_of(labeled_texts(40), params, text="body")


def test_ids_that_repeat_are_not_proposed(params: Params) -> None:
    table = labeled_texts(100)
    assert settings_of(table.assign(id="1"), params)["data.columns.id"] is None
    assert settings_of(table, params, id="none")["data.columns.id"] is None


@pytest.mark.parametrize("rows", [600, 5000])
def test_few_rows_get_larger_validation_and_test_splits(rows: int, params: Params) -> None:
    settings = settings_of(labeled_texts(rows), params)
    shares = [settings[f"split.fractions.{name}"] for name in ("train", "validation", "test")]

    assert sum(shares) == pytest.approx(1)
    assert shares[2] == (0.2 if rows == 600 else 0.1)


STARS = {"5": 50, "1": 40, "4": 30, "3": 20, "2": 10}


@pytest.mark.parametrize(
    ("counts", "column", "stars", "expected"),
    [
        (STARS, "stars", "two", {"1": "negative", "2": "negative", "3": None, "4": "positive", "5": "positive"}),
        (STARS, "stars", "three", {"1": "negative", "2": "negative", "3": "neutral", "4": "positive", "5": "positive"}),
        (STARS, "stars", "each", {}),
        ({"1.0": 9, "3.0": 9, "5.0": 9}, "nota", "two", {"1.0": "negative", "3.0": None, "5.0": "positive"}),
        ({"0": 9, "1": 8}, "label", "two", {"0": "negative", "1": "positive"}),
        ({"0": 9, "1": 8}, "spam", "two", {"0": "not spam", "1": "spam"}),
        ({"não": 9, "sim": 8}, "toxico", "two", {"não": "not toxico", "sim": "toxico"}),
        ({"no": 9, "yes": 8}, "label", "two", {}),
        ({"pos": 9, "neg": 8}, "label", "two", {"neg": "negative", "pos": "positive"}),
        ({"Good": 9, "good": 5, "bad": 8}, "label", "two", {"good": "Good"}),
        ({"0": 9, "1": 8, "2": 7}, "label", "two", {}),
        ({"a": 9, "b": 8}, "label", "two", {}),
    ],
)
def test_a_label_map_is_proposed_where_the_meaning_is_obvious(
    counts: dict[str, int], column: str, stars: Stars, expected: dict[str, str | None]
) -> None:
    assert propose_label_map(counts, column=column, stars=stars).label_map == expected


def test_options_with_several_values() -> None:
    assert parse_list(None) is None
    assert parse_list("none") == ()
    assert parse_list("a, b") == ("a", "b")
    assert parse_label_map("0=bad, 1=good,?=") == {"0": "bad", "1": "good", "?": None}
    assert parse_label_map("none") == {}
    with pytest.raises(ConfigurationError, match="VALUE=LABEL"):
        parse_label_map("0:bad")


SENTENCES = {
    "English": "The film is not as good as the book, but it was worth the money and we liked it.",
    "Portuguese": "O filme não é tão bom como o livro, mas valeu a pena e eu gostei muito da atriz.",
    "Spanish": "La película no es tan buena como el libro, pero me gustó mucho y la recomiendo.",
    "French": "Le film n'est pas aussi bon que le livre, mais il vaut le prix et je suis très content.",
    "German": "Der Film ist nicht so gut wie das Buch, aber er war sein Geld wert und ich mag ihn.",
    "Italian": "Il film non è bello come il libro, ma vale il prezzo e mi è piaciuto molto.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_the_language_is_guessed(language: str) -> None:
    assert guess_language([SENTENCES[language]] * 3) == language


@pytest.mark.parametrize(
    ("language", "labels", "expected"),
    [
        ("English", ("negative", "positive"), ["behavior/english.yaml"]),
        ("Portuguese", ("0", "1"), ["behavior/portuguese.yaml"]),
        ("English", ("ham", "spam"), []),
        ("German", ("negative", "positive"), []),
    ],
)
def test_a_behavior_suite_is_proposed_if_language_and_labels_fit(
    language: str, labels: tuple[str, str], expected: list[str], params: Params
) -> None:
    table = labeled_texts(40)
    texts = [f"{SENTENCES[language]} {number}" for number in range(40)]
    renamed = table["label"].map({"negative": labels[0], "positive": labels[1]})
    settings = settings_of(table.assign(text=texts, label=renamed), params)

    assert settings["release.behavior.suites"] == expected


def test_no_language_is_guessed_for_texts_of_codes() -> None:
    assert guess_language(["x1 y2 z3"] * 10) is None


def test_a_file_is_copied_unless_it_is_under_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for path, expected in {
        "own.csv": "data/01_raw/own.csv",
        "data/own.csv": "data/own.csv",
        "data/01_raw/own.csv": "data/01_raw/own.csv",
        "data/02_validated/own.csv": "data/01_raw/own.csv",
        "sentiment.csv": "data/01_raw/own-sentiment.csv",
        "../own.csv": "data/01_raw/own.csv",
    }.items():
        assert target_path(tmp_path, Path(path)) == Path(expected), path


def test_another_file_of_the_same_name_is_replaced_only_on_request(tmp_path: Path) -> None:
    source, target = Path("own.csv"), Path("data/01_raw/own.csv")
    (tmp_path / source).write_text("new")
    assert copy_file(tmp_path, source, target, replace=False)
    assert not copy_file(tmp_path, source, target, replace=False), "the same contents"
    (tmp_path / source).write_text("newer")
    with pytest.raises(DataFileError, match="--replace"):
        copy_file(tmp_path, source, target, replace=False)
    assert (tmp_path / target).read_text() == "new"
    assert copy_file(tmp_path, source, target, replace=True)
    assert (tmp_path / target).read_text() == "newer"


def test_the_only_table_of_a_sqlite_file_is_read_and_of_several_one_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table reviews (text, label)")
        assert sqlite_query(path, None, None).table == "reviews"
        connection.execute("create table customers (name)")
        with pytest.raises(OpenQuestion, match=r"has 2 tables. Choose with an option:\n  --table customers"):
            sqlite_query(path, None, None)
    assert sqlite_query(path, "select 1", None).sql == "select 1"


def test_answers_are_quoted_for_the_shell() -> None:
    quoted: Mapping[str, str] = {"text": "text", "my text": "'my text'", "it's": "'it'\\''s'", "": "''"}
    assert {value: quote_argument(value) for value in quoted} == quoted
