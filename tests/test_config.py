"""Invalid values in params.yaml and the messages about them."""

import re
from pathlib import Path

import pytest

from atnet.config import parse_params
from atnet.errors import ConfigurationError
from atnet.storage import load_params
from tests.settings import ROOT, changed_text

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tokenize": {"vocabulary_sise": 9}}, "tokenize.vocabulary_sise: unknown key (did you mean vocabulary_size?)"),
        ({"tokenize": {"zzz": 9}}, "tokenize.zzz: unknown key (keys of this section: kind, vocabulary_size, "),
        ({"data.columns": {"txt": "x"}}, "data.columns.txt: unknown key (did you mean text?)"),
        ({"train": {"batch_size": "64"}}, "train.batch_size: Input should be a valid integer (found '64')"),
        ({"train": {"batch_size": 0}}, "train.batch_size: Input should be greater than or equal to 1 (found 0)"),
        ({"train": {"dropout": 1.3}}, "train.dropout: Input should be less than 1 (found 1.3)"),
        ({"tokenize": {"kind": "words"}}, "tokenize.kind: Input should be 'word', 'bpe' or 'unigram' (found 'words')"),
        (
            {"train": {"hidden_units": 0}},
            "train.hidden_units: Input should be greater than or equal to 1, or: Input should be 'auto' (found 0)",
        ),
        ({"split.fractions": {"train": 0.7}}, "split.fractions: train, validation and test add up to 0.9, not to 1"),
        ({"validate.text_words": {"min_value": 5000}}, "min_value (5000) is larger than max_value (4000)"),
        ({"data.columns": {"rating": None}}, "validate.label_from_rating needs data.columns.rating"),
        ({"validate": {"label_from_rating": None}}, "data.columns.label is null: set it to the label column"),
    ],
)
def test_an_invalid_value_is_reported_with_what_is_allowed(change: dict[str, dict[str, object]], expected: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_params(changed_text(change))
    assert expected in str(raised.value)
    assert "docs/parameters.md lists every key" in str(raised.value)


def test_all_errors_are_reported_at_once() -> None:
    text = TEXT.replace("vocabulary_size:", "vocabulary_sise:").replace("\nsplit:", "\nspilt:")
    with pytest.raises(ConfigurationError) as raised:
        parse_params(text)
    for expected in ("tokenize.vocabulary_size: missing", "split: missing", "spilt: unknown key (did you mean split?)"):
        assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "params.yaml has no sections. Restore it with `git checkout params.yaml`."),
        (TEXT.replace("  seed: 13", "  seed: [13", 1), "params.yaml is not valid YAML: "),
        (
            TEXT.replace("  seed: 13", "\tseed: 13", 1),
            "params.yaml is not valid YAML: found character that cannot start",
        ),
        (
            TEXT.replace("  seed: 13", "  seed: 13\n  seed: 14", 1),
            "params.yaml is not valid YAML: the key 'seed' occurs",
        ),
    ],
)
def test_a_file_without_parameters_is_reported(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_params(text)
    assert str(raised.value).startswith(expected)


def test_a_problem_of_the_yaml_is_one_line_with_its_place() -> None:
    lines = TEXT.splitlines()
    text = "\n".join([*lines, "train:", "  epochs: 1"])
    with pytest.raises(ConfigurationError) as raised:
        parse_params(text)
    assert str(raised.value) == (
        f"params.yaml is not valid YAML: the key 'train' occurs twice (line {len(lines) + 1}, column 1). Fix that line."
    )


def test_a_number_that_yaml_reads_as_a_text_is_explained() -> None:
    text = re.sub(r"  learning_rate: \S+", "  learning_rate: 1e-5", TEXT, count=1)
    with pytest.raises(ConfigurationError, match=r"learning_rate: .* \(found '1e-5'; write 0\.00001\)"):
        parse_params(text)


def test_a_file_that_is_not_utf8_is_reported(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(TEXT.encode() + b"# caf\xe9\n")
    with pytest.raises(ConfigurationError, match=r"params\.yaml is not UTF-8: .* Save it as UTF-8\."):
        load_params(tmp_path / "params.yaml")


def test_the_message_for_a_missing_file_names_the_folder_to_run_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Run the command in the project's folder"):
        load_params(tmp_path / "params.yaml")
