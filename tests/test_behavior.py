"""Behavior suites: the format of the file, the cases it expands to, and what counts as a failure."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from atnet.config import Params
from atnet.errors import ConfigurationError
from atnet.release.behavior.perturbations import PERTURBATION_NAMES, perturb
from atnet.release.behavior.runner import BehaviorResult, run_suites
from atnet.release.behavior.suites import TEST_TYPES, Case, Suite, parse_suite

LABELS = ("negative", "positive")
GOOD = {"good", "great", "loved"}
BAD = {"bad", "awful", "not"}
HEAD = """
language: English
labels: {negative: negative, positive: positive}
words:
  thing: [film, book]
  name: [Ana, John, Wei]
"""
SUITE = (
    HEAD
    + """
mft:
  - {group: praise, label: positive, texts: ["A great {thing}.", "I loved it."]}
  - {group: complaint, label: negative, texts: ["An awful {thing}."]}
inv:
  - {group: form, perturbations: [upper case, accents, trailing punctuation], texts: ["A great {thing}."]}
  - {group: names, vary: name, texts: ["{name} loved the {thing}."]}
  - {group: by hand, pairs: [["A great film.", "A great great film."]]}
dir:
  - group: negation
    label: positive
    direction: down
    min_change: 0.1
    pairs: [["A good {thing}.", "Not a good {thing}."]]
"""
)


def probabilities(texts: Sequence[str]) -> np.ndarray:
    """Predict as a model that counts words would."""
    words = [text.lower().replace(".", "").split() for text in texts]
    scores = [0.55 + 0.2 * sum((word in GOOD) - (word in BAD) for word in text_words) for text_words in words]
    positive = np.array(scores).clip(0.01, 0.99)
    return np.column_stack([1 - positive, positive])


def groups(result: BehaviorResult) -> dict[str, tuple[int, int]]:
    return {group.group: (group.passed, group.cases) for group in result.groups}


def test_a_suite_expands_to_one_case_per_word_and_perturbation() -> None:
    cases = parse_suite(SUITE, source="suite").cases()
    assert [case.texts for case in cases if case.group == "praise"] == [
        ("A great film.",),
        ("A great book.",),
        ("I loved it.",),
    ]
    # Removing accents changes nothing in a text without accents: no case.
    assert [case.texts for case in cases if case.group == "form"] == [
        ("A great film.", "A GREAT FILM."),
        ("A great film.", "A great film"),
        ("A great book.", "A GREAT BOOK."),
        ("A great book.", "A great book"),
    ]
    assert ("Ana loved the book.", "Wei loved the book.") in [case.texts for case in cases]
    assert Case("English", "DIR", "negation", ("A good book.", "Not a good book."), "positive", "down", 0.1) in cases


def test_a_model_that_behaves_passes_every_case() -> None:
    result = run_suites([parse_suite(SUITE, source="suite")], LABELS, probabilities)
    assert groups(result) == {
        "praise": (3, 3),
        "complaint": (2, 2),
        "form": (4, 4),
        "names": (4, 4),
        "by hand": (1, 1),
        "negation": (2, 2),
    }
    assert [result.cases(test_type) for test_type in TEST_TYPES] == [5, 9, 2]


def test_failures_describe_what_was_expected_and_observed() -> None:
    def case_sensitive(texts: Sequence[str]) -> np.ndarray:
        """Predict positive for everything that is not in upper case."""
        positive = np.array([0.1 if text.isupper() else 0.9 for text in texts])
        return np.column_stack([1 - positive, positive])

    result = run_suites([parse_suite(SUITE, source="suite")], LABELS, case_sensitive)
    assert groups(result)["complaint"] == (0, 2)
    assert groups(result)["form"] == (2, 4)
    assert groups(result)["negation"] == (0, 2)
    failed = {group.group: group.failures for group in result.groups if group.failures}
    assert failed["complaint"][0].texts == ("An awful film.",)
    assert failed["form"][0].observed == "positive, then negative"
    assert failed["negation"][0].expected == "positive down by 0.1"
    assert result.weakest("MFT") == "complaint (English), 2 of 2"


def test_cases_of_labels_the_model_does_not_have_are_skipped_and_counted() -> None:
    def three_labels(texts: Sequence[str]) -> np.ndarray:
        return np.tile([0.2, 0.5, 0.3], (len(texts), 1))

    result = run_suites([parse_suite(SUITE, source="suite")], ("entity", "human", "place"), three_labels)
    counts = [(result.cases(test_type), result.skipped(test_type)) for test_type in TEST_TYPES]
    assert counts == [(0, 5), (9, 0), (0, 2)]


def test_a_suite_may_use_other_label_names_than_the_model() -> None:
    renamed = SUITE.replace("positive: positive", "positive: '1'").replace("negative: negative", "negative: '0'")
    result = run_suites([parse_suite(renamed, source="suite")], ("0", "1"), probabilities)
    assert result.passed("MFT") == result.cases("MFT") == 5


def test_the_model_predicts_once_with_distinct_texts() -> None:
    requests: list[list[str]] = []

    def recording(texts: Sequence[str]) -> np.ndarray:
        requests.append(list(texts))
        return probabilities(texts)

    run_suites([parse_suite(SUITE, source="suite")] * 2, LABELS, recording)
    assert len(requests) == 1
    assert len(requests[0]) == len(set(requests[0]))
    run_suites([], LABELS, recording)
    assert len(requests) == 1


def test_the_result_can_be_read_back() -> None:
    result = run_suites([parse_suite(SUITE, source="suite")], LABELS, lambda texts: 1 - probabilities(texts))
    assert any(group.failures for group in result.groups)
    assert BehaviorResult.from_dict(result.to_dict()) == result


@pytest.mark.parametrize("name", ["english", "portuguese"])
def test_the_included_suites_have_enough_cases_of_every_test_type(project: Path, params: Params, name: str) -> None:
    suite = Suite.load(project / "behavior" / f"{name}.yaml")
    cases = suite.cases()
    assert len(set(cases)) == len(cases)
    for test_type in TEST_TYPES:
        assert sum(case.test_type == test_type for case in cases) >= params.release.behavior.min_cases


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "has no sections"),
        ("language: [", "not valid YAML"),
        (HEAD + "minimun: []", "minimun: unknown key"),
        (HEAD + "mft: [{group: g, label: positiv, texts: [a]}]", "unknown label 'positiv' .did you mean positive"),
        (HEAD + "mft: [{group: g, label: positive, texts: ['{thin}']}]", "unknown word list 'thin'"),
        (HEAD + "inv: [{group: g, perturbations: [typos], texts: [a]}]", "inv.0.perturbations.0"),
        (HEAD + "inv: [{group: g, texts: [a]}]", "give texts with perturbations"),
        (
            HEAD + "dir: [{group: g, label: positive, direction: down, min_change: 0, pairs: [[a]]}]",
            "dir.0.pairs.0",
        ),
    ],
)
def test_an_invalid_suite_is_refused_with_file_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        parse_suite(text, source="own.yaml")
    assert "own.yaml" in str(refused.value)


def test_a_missing_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"own\.yaml does not exist.*suites"):
        Suite.load(tmp_path / "own.yaml")


def test_perturbations_are_small_and_always_the_same() -> None:
    text = "Uma atuação maravilhosa."
    changed = {name: perturb(text, name) for name in PERTURBATION_NAMES}
    assert changed == {name: perturb(text, name) for name in PERTURBATION_NAMES}
    assert changed["accents"] == "Uma atuacao maravilhosa."
    assert changed["upper case"] == "UMA ATUAÇÃO MARAVILHOSA."
    assert changed["trailing punctuation"] == "Uma atuação maravilhosa"
    assert perturb("Bom", "trailing punctuation") == "Bom."
    assert changed["typo"] != text
    assert sorted(changed["typo"]) == sorted(text)
    assert changed["typo"].split()[0] == "Uma"
    assert perturb("a bad day", "typo") == "a bad day"
