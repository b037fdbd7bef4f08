"""What params.yaml may not hold, and how it is told."""

from pathlib import Path

import pytest

from atnet.config import parse_params
from atnet.errors import ConfigurationError
from atnet.storage import load_params
from settings import ROOT, changed_text

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tokenize": {"vocabulary_sise": 9}}, "tokenize.vocabulary_sise: unknown key (did you mean vocabulary_size?)"),
        ({"tokenize": {"zzz": 9}}, "tokenize.zzz: unknown key (known here: kind, vocabulary_size, "),
        ({"data.columns": {"txt": "x"}}, "data.columns.txt: unknown key (did you mean text?)"),
        ({"train": {"batch_size": "64"}}, "train.batch_size: Input should be a valid integer (found '64')"),
        ({"train": {"batch_size": 0}}, "train.batch_size: Input should be greater than or equal to 1 (found 0)"),
        ({"train": {"dropout": 1.3}}, "train.dropout: Input should be less than 1 (found 1.3)"),
        ({"tokenize": {"kind": "words"}}, "tokenize.kind: Input should be 'word', 'bpe' or 'unigram' (found 'words')"),
        ({"split.fractions": {"train": 0.7}}, "split.fractions: train, validation and test add up to 0.9, not to 1"),
        ({"validate.text_words": {"min_value": 5000}}, "min_value (5000) is larger than max_value (4000)"),
        ({"data.columns": {"rating": None}}, "validate.label_from_rating needs data.columns.rating"),
        ({"validate": {"label_from_rating": None}}, "data.columns.label is null: name the label column"),
    ],
)
def test_a_bad_value_is_named_with_what_would_do(change: dict[str, dict[str, object]], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_params(changed_text(change))
    assert told in str(raised.value)
    assert "docs/parameters.md lists every key" in str(raised.value)


def test_all_faults_are_told_at_once() -> None:
    text = TEXT.replace("vocabulary_size:", "vocabulary_sise:").replace("\nsplit:", "\nspilt:")
    with pytest.raises(ConfigurationError) as raised:
        parse_params(text)
    for told in ("tokenize.vocabulary_size: missing", "split: missing", "spilt: unknown key (did you mean split?)"):
        assert told in str(raised.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "params.yaml holds no sections. Restore it with `git checkout params.yaml`."),
        (TEXT.replace("  seed: 13", "  seed: [13", 1), "params.yaml is not valid YAML: "),
    ],
)
def test_a_file_that_holds_no_parameters_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_params(text)
    assert str(raised.value).startswith(told)


def test_without_the_file_the_folder_is_at_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Run the command in the project's folder"):
        load_params(tmp_path / "params.yaml")
