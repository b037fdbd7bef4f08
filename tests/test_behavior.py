from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from atnet.errors import ConfigurationError
from atnet.release.behavior.perturbations import PERTURBATION_NAMES, change
from atnet.release.behavior.runner import KINDS, BehaviorResult, Suite, run_suites
from atnet.release.behavior.suites import Case, parse_suite

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
  - {group: negation, label: positive, direction: down, min_change: 0.1, pairs: [["A good {thing}.", "Not a good {thing}."]]}
"""
)


def probabilities(texts: Sequence[str]) -> np.ndarray:
    """Answer as a model that counts words would."""
    words = [text.lower().replace(".", "").split() for text in texts]
    positive = np.array([0.55 + 0.2 * sum((w in GOOD) - (w in BAD) for w in one) for one in words]).clip(0.01, 0.99)
    return np.column_stack([1 - positive, positive])


def groups(result: BehaviorResult) -> dict[str, tuple[int, int]]:
    return {one.group: (one.passed, one.cases) for one in result.groups}


def test_a_suite_stands_for_one_case_per_word_and_change() -> None:
    cases = parse_suite(SUITE, source="suite").cases()
    assert [case.texts for case in cases if case.group == "praise"] == [
        ("A great film.",),
        ("A great book.",),
        ("I loved it.",),
    ]
    # The accents of a text without any change nothing: no case.
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
    assert [result.cases(kind) for kind in KINDS] == [5, 9, 2]


def test_failures_say_what_was_asked_and_what_was_found() -> None:
    def shouting(texts: Sequence[str]) -> np.ndarray:
        """Answer positive to everything in small letters."""
        positive = np.array([0.1 if text.isupper() else 0.9 for text in texts])
        return np.column_stack([1 - positive, positive])

    result = run_suites([parse_suite(SUITE, source="suite")], LABELS, shouting)
    assert groups(result)["complaint"] == (0, 2)
    assert groups(result)["form"] == (2, 4)
    assert groups(result)["negation"] == (0, 2)
    failed = {one.group: one.failures for one in result.groups if one.failures}
    assert failed["complaint"][0].texts == ("An awful film.",)
    assert failed["form"][0].found == "positive, then negative"
    assert failed["negation"][0].expected == "positive down by 0.1"
    assert result.weakest("MFT") == "complaint (English), 2 of 2"


def test_cases_of_labels_the_model_does_not_have_are_skipped_and_counted() -> None:
    def three(texts: Sequence[str]) -> np.ndarray:
        return np.tile([0.2, 0.5, 0.3], (len(texts), 1))

    result = run_suites([parse_suite(SUITE, source="suite")], ("entity", "human", "place"), three)
    assert [(result.cases(kind), result.skipped(kind)) for kind in KINDS] == [(0, 5), (9, 0), (0, 2)]


def test_a_suite_may_call_the_labels_otherwise_than_the_model() -> None:
    renamed = SUITE.replace("positive: positive", "positive: '1'").replace("negative: negative", "negative: '0'")
    result = run_suites([parse_suite(renamed, source="suite")], ("0", "1"), probabilities)
    assert result.passed("MFT") == result.cases("MFT") == 5


def test_the_model_is_asked_once_with_distinct_texts() -> None:
    asked: list[list[str]] = []

    def counting(texts: Sequence[str]) -> np.ndarray:
        asked.append(list(texts))
        return probabilities(texts)

    run_suites([parse_suite(SUITE, source="suite")] * 2, LABELS, counting)
    assert len(asked) == 1
    assert len(asked[0]) == len(set(asked[0]))
    run_suites([], LABELS, counting)
    assert len(asked) == 1


def test_the_result_reads_back_from_its_file() -> None:
    result = run_suites([parse_suite(SUITE, source="suite")], LABELS, lambda texts: 1 - probabilities(texts))
    assert any(one.failures for one in result.groups)
    assert BehaviorResult.from_dict(result.to_dict()) == result


@pytest.mark.parametrize("name", ["english", "portuguese"])
def test_the_suites_that_come_along_have_enough_cases_of_every_kind(project: Path, params, name: str) -> None:
    suite = Suite.load(project / "behavior" / f"{name}.yaml")
    cases = suite.cases()
    assert len(set(cases)) == len(cases)
    for kind in KINDS:
        assert sum(case.kind == kind for case in cases) >= params.release.behavior.min_cases


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "holds no sections"),
        ("language: [", "not valid YAML"),
        (HEAD + "minimun: []", "minimun: Extra inputs"),
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
def test_a_faulty_suite_is_refused_with_file_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        parse_suite(text, source="own.yaml")
    assert "own.yaml" in str(refused.value)


def test_a_missing_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"own\.yaml does not exist.*suites"):
        Suite.load(tmp_path / "own.yaml")


def test_changes_are_small_and_always_the_same() -> None:
    text = "Uma atuação maravilhosa."
    changed = {name: change(text, name) for name in PERTURBATION_NAMES}
    assert changed == {name: change(text, name) for name in PERTURBATION_NAMES}
    assert changed["accents"] == "Uma atuacao maravilhosa."
    assert changed["upper case"] == "UMA ATUAÇÃO MARAVILHOSA."
    assert changed["trailing punctuation"] == "Uma atuação maravilhosa"
    assert change("Bom", "trailing punctuation") == "Bom."
    assert changed["typo"] != text
    assert sorted(changed["typo"]) == sorted(text)
    assert changed["typo"].split()[0] == "Uma"
    assert change("a bad day", "typo") == "a bad day"
