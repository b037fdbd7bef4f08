"""The report: one page for any number of labels, safe for any text, the same bytes every time."""

import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from atnet.config import Params
from atnet.errors import DataContractError
from atnet.evaluation.bootstrap import Interval
from atnet.evaluation.evaluate import Evaluation, evaluate
from atnet.evaluation.examples import (
    MAX_CHARACTERS,
    attention_samples,
    confused_pairs,
    least_certain,
    listed_text,
    margins,
    most_wrong,
)
from atnet.evaluation.metrics import Floats
from atnet.evaluation.predictions import PredictedBatch, SplitPredictions, collect_predictions
from atnet.evaluation.row_features import RowFeatures
from atnet.evaluation.serialize import details, metrics, plot_tables, slice_values
from atnet.evaluation.slices import count_words
from atnet.inference import Explanation, Predictions, softmax
from atnet.report.explanations.attended_words import AttendedWord, WordMap
from atnet.report.explanations.global_explanation import GlobalExplanation, SliceContributions
from atnet.report.explanations.ngram_contributions import Contribution
from atnet.report.figures import confusion_figure
from atnet.report.highlights import highlight
from atnet.report.report_page import ModelIdentity, ReportInputs, bar_scale, render_report
from atnet.report.sentences import summarize

ATTACK = "<script>alert('x')</script>"
ODD_LABELS = ["<b>não</b>", "sim & 'não' 😀 $x_1$"]
ODD_TEXTS = (ATTACK, "não é ótimo, é péssimo 😀", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "a " * 400)
SPLIT_REPORT = {
    "splits": {"train": {"rows": 4800}, "validation": {"rows": 600}, "test": {"rows": 600}},
    "leaks": {"train_test": {"shared_text_hash": 0, "shared_group": 0}},
}
VOID = {"meta", "line", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Parses a page: its tags, its visible text and unclosed tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def evaluated_rows(
    rows: int, classes: int, params: Params, *, names: list[str] | None = None, seed: int = 0
) -> tuple[pd.DataFrame, SplitPredictions, Evaluation]:
    rng = np.random.default_rng([seed, rows, classes])
    labels = tuple(names or [f"label {c:02d} é" for c in range(classes)])
    actual = rng.integers(classes, size=rows)
    logits = (rng.normal(size=(rows, classes)) + 2 * np.eye(classes)[actual]).astype(np.float32)
    texts = [" ".join(rng.choice(["the", "film", "não", "bom"], size=rng.integers(1, 30))) for _ in range(rows)]
    texts[: len(ODD_TEXTS)] = ODD_TEXTS
    table = pd.DataFrame(
        {
            "id": [f"row-{row:04d}" for row in range(rows)],
            "text": texts,
            "label": [labels[c] for c in actual],
            "domain": rng.choice(["movie", "tweets", ATTACK], size=rows),
            "rating": rng.normal(size=rows),
        }
    )
    baselines = pd.DataFrame({"id": table["id"], "majority": labels[0], "nb_svm": rng.permutation(table["label"])})
    answers = answers_for(table, Predictions(labels, logits, softmax(logits / 1.5)), baselines.sample(frac=1))
    config = params.evaluate.model_copy(update={"bootstrap_samples": 25})
    return table, answers, evaluate(features_of(table, rng.random(rows) * 0.1), answers, config)


def answers_for(table: pd.DataFrame, predictions: Predictions, baselines: pd.DataFrame) -> SplitPredictions:
    # The mapped files can still be read when their folder is gone.
    with TemporaryDirectory() as folder:
        return collect_predictions([PredictedBatch(table, predictions)], [baselines], Path(folder))


def features_of(table: pd.DataFrame, unknown_share_N: Floats) -> RowFeatures:
    return RowFeatures.of(table, [[2]] * len(table), unknown_share_N)


def explained(text: str) -> Explanation:
    spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)][:200]
    weights = np.arange(1.0, len(spans) + 1)
    attention, contributions = (weights / max(1, weights.sum())).tolist(), (weights - 1.5).tolist()
    return Explanation(text, "x", 0.5, {}, [text[a:b] for a, b in spans], spans, attention, contributions, 0.25)


def overview_of(labels: tuple[str, ...]) -> GlobalExplanation:
    rng = np.random.default_rng(0)
    words = [ATTACK, "não", "$x$", *(f"word{index}" for index in range(20))]
    contributions = {label: [Contribution(ATTACK, 1.5, 40), Contribution("não é", 0.25, 1234)] for label in labels}
    return GlobalExplanation(
        texts=400,
        contributions=contributions,
        slices=[SliceContributions("domain", ATTACK, contributions)] if len(labels) <= 6 else [],
        attended_words=[AttendedWord("muito", 1.75, 31, labels[-1], 0.5)],
        word_map=WordMap(words, rng.normal(size=(23, 2)), (0.2, 0.1), rng.normal(size=(23, len(labels)))),
    )


def page_of(
    table: pd.DataFrame,
    answers: SplitPredictions,
    evaluation: Evaluation,
    params: Params,
    overview: GlobalExplanation | None = None,
) -> str:
    samples = attention_samples(answers.actual, answers.probabilities, count_words(table["text"]), 12)
    explanations = [explained(table["text"].iloc[sample.row]) for sample in samples]
    numbers = metrics(evaluation, 1.5)
    identity = ModelIdentity("ab" * 32, 1.5, SPLIT_REPORT)
    overview = overview or overview_of(answers.labels)
    words_N = count_words(table["text"])
    inputs = ReportInputs(table, words_N, answers, evaluation, numbers, samples, explanations, overview, identity)
    return render_report(inputs, params.evaluate)


@pytest.fixture(scope="module")
def page(params: Params) -> Callable[[int], str]:
    """Render the page for a number of labels once, as its figures take a second; with six, two have odd names."""

    @cache
    def render(classes: int) -> str:
        names = [*ODD_LABELS, *(f"label {label:02d} é" for label in range(classes - 2))] if classes == 6 else None
        return page_of(*evaluated_rows(400, classes, params, names=names), params)

    return render


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 6, 77])
def test_the_page_stands_alone_for_any_number_of_labels(classes: int, page: Callable[[int], str]) -> None:
    html = page(classes)
    read = Page(html)
    assert read.open == []
    assert not re.search(r"https?:|//cdn|@import", html)
    assert {tag for tag, _ in read.tags} & {"script", "link", "iframe", "img", "object"} == set()
    linked = {value for _, attributes in read.tags for name, value in attributes.items() if name in ("href", "src")}
    ids = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    for address in linked - {None}:
        assert address.startswith("data:image/png") or address[1:] in ids, address
    assert "label 01 é" in read.words
    assert "NB-SVM" in read.words
    assert len(html) < 600_000


def test_every_word_shows_its_contribution_and_attention_and_has_the_numbers_as_a_tooltip(
    page: Callable[[int], str],
) -> None:
    read = Page(page(2))
    words = [attributes for tag, attributes in read.tags if tag == "span" and "title" in attributes]
    against = [word for word in words if "against" in (word["class"] or "").split()]
    for_label = [word for word in words if "for" in (word["class"] or "").split()]
    assert against
    assert len(against) + len(for_label) == len(words)
    assert all(re.fullmatch(r"−\d+\.\d\d against label .+% of the attention", word["title"] or "") for word in against)
    assert all((word["title"] or "").startswith("+") for word in for_label)
    assert all(re.fullmatch(r"--s:[01]\.\d\d;--a:[01]\.\d\d", word["style"] or "") for word in words)
    assert "where the network looked, not why it decided" in " ".join(read.words.split())


@pytest.mark.parametrize("classes", [2, 6, 77])
def test_the_page_lists_what_the_model_relies_on(classes: int, page: Callable[[int], str]) -> None:
    words = " ".join(Page(page(classes)).words.split())
    assert "não é +0.25 1,234" in words
    assert ("Largest contributions by slice" in words) == (classes <= 6)
    assert "muito1.7531label" in words
    assert "word19" in words


def test_a_perfect_model_a_single_label_and_an_empty_explanation_can_be_reported(params: Params) -> None:
    labels, actual = ("no", "yes"), np.zeros(40, dtype=int)
    table = pd.DataFrame({"id": [str(row) for row in range(40)], "text": "a b", "label": "no"})
    logits = np.tile(np.array([[3.0, -3.0]], np.float32), (40, 1))
    answers = answers_for(table, Predictions(labels, logits, softmax(logits)), table[["id"]].assign(majority="no"))
    assert (answers.actual == actual).all()
    evaluation = evaluate(features_of(table, np.zeros(40)), answers, params.evaluate)
    assert evaluation.curves is None
    assert plot_tables(evaluation, count_words(table["text"]), [])["precision_recall"].empty
    read = Page(page_of(table, answers, evaluation, params, GlobalExplanation(40, {}, [], [], None)))
    words = " ".join(read.words.split())
    assert "Every text has the right label" in words
    assert "This model has no wide branch" in words
    assert "No word occurs in enough texts" in words
    assert "Not drawn" in words


def test_texts_labels_and_slices_are_shown_and_never_run(page: Callable[[int], str]) -> None:
    read = Page(page(6))
    for label in ODD_LABELS:
        assert label in read.words
    assert ATTACK in read.words
    assert not {"script", "img"} & {tag for tag, _ in read.tags}
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]


def test_the_same_evaluation_gives_the_same_bytes(page: Callable[[int], str], params: Params) -> None:
    assert page_of(*evaluated_rows(400, 2, params), params) == page(2)


def test_the_tokens_omitted_from_a_long_text_are_summed_up() -> None:
    text = highlight(explained("word " * 200), limit=50)
    assert text.omitted == 150
    assert sum(piece.attention or 0 for piece in text.pieces) + text.omitted_attention == pytest.approx(1)
    assert sum(piece.contribution for piece in text.pieces) + text.omitted_contribution == pytest.approx(text.total)


def test_a_listed_text_is_cut_to_a_readable_length(params: Params) -> None:
    table, answers, _ = evaluated_rows(20, 2, params)
    listed = listed_text(ODD_TEXTS.index("a " * 400), table, answers)
    assert (len(listed.text), listed.cut) == (MAX_CHARACTERS, True)
    assert not listed_text(0, table, answers).cut


def test_a_highlighted_text_has_every_character_once() -> None:
    text = "Não é ruim — é ótimo! 😀 "
    pieces = highlight(explained(text)).pieces
    assert "".join(piece.text for piece in pieces) == text
    assert max(piece.relative_attention for piece in pieces) == 1
    assert max(piece.relative_contribution for piece in pieces) == 1
    assert min(piece.relative_contribution for piece in pieces) < 0
    assert [piece.text for piece in pieces if piece.attention is not None][:3] == ["Não", "é", "ruim"]


def test_tokens_that_share_characters_become_one_piece() -> None:
    spans = [(0, 1), (2, 3), (2, 3)]
    explanation = Explanation("a 😀", "x", 1, {}, ["a", "😀", "😀"], spans, [0.2, 0.3, 0.5], [-2.0, 1.5, -0.5], 0.0)
    pieces = [(piece.text, piece.attention, piece.contribution) for piece in highlight(explanation).pieces]
    assert pieces == [("a", 0.2, -2.0), (" ", None, 0.0), ("😀", 0.8, 1.0)]


def test_a_text_without_tokens_is_not_highlighted() -> None:
    text = highlight(Explanation("   ", "x", 1, {}, [], [], [], [], 0.5))
    assert [(piece.text, piece.attention) for piece in text.pieces] == [("   ", None)]


def test_the_surest_mistakes_and_the_smallest_margins_come_first() -> None:
    actual = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.99, 0.01], [0.45, 0.55]])
    assert most_wrong(actual, probabilities, 5) == [2, 1]
    assert most_wrong(actual, probabilities, 1) == [2]
    assert least_certain(probabilities, 2) == [3, 1]
    assert margins(probabilities).tolist() == pytest.approx([0.8, 0.6, 0.98, 0.1])


def test_attention_samples_are_a_mix_without_repeats() -> None:
    rng = np.random.default_rng(0)
    actual = rng.integers(3, size=200)
    probabilities = softmax(rng.normal(size=(200, 3)) + 2 * np.eye(3)[actual])
    samples = attention_samples(actual, probabilities, rng.integers(1, 40, size=200), 12)
    assert len({sample.row for sample in samples}) == 12
    kinds = {"confident and right", "confident and wrong", "uncertain", "long", "short"}
    assert {sample.why for sample in samples} == kinds
    assert len(attention_samples(actual[:4], probabilities[:4], np.ones(4, dtype=int), 12)) == 4


def test_the_most_frequent_confusions_come_first() -> None:
    pairs = confused_pairs(np.array([[8, 2, 0], [5, 5, 0], [1, 0, 9]]), ["a", "b", "c"], 2)
    assert [(pair.actual, pair.predicted, pair.count, pair.share) for pair in pairs] == [
        ("b", "a", 5, 0.5),
        ("a", "b", 2, 0.2),
    ]


def test_a_scale_contains_its_intervals_and_has_a_width() -> None:
    scale = bar_scale([Interval(0.8, 0.79, 0.83), Interval(0.85, 0.84, 0.86)])
    assert (scale.low, scale.high) == pytest.approx((0.79, 0.86))
    assert scale.percent(scale.low) == 0
    assert scale.percent(scale.high) == 100
    assert bar_scale([]).high > bar_scale([]).low
    perfect = bar_scale([Interval(1, 1, 1)])
    assert perfect.high > perfect.low


def test_a_figure_has_no_address_and_no_id_twice() -> None:
    drawn = confusion_figure(np.array([[50, 3], [4, 60]]), ["não & sim", "$x$"])
    assert "http" not in drawn
    assert "não &amp; sim" in drawn
    assert "$x$" in drawn
    ids = re.findall(r'\sid="([^"]+)"', drawn)
    assert len(set(ids)) == len(ids)


def test_metrics_are_plain_numbers_under_stable_names(params: Params) -> None:
    _, _, evaluation = evaluated_rows(200, 2, params)
    numbers = metrics(evaluation, 1.5)
    assert set(numbers["accuracy"]) == {"value", "low", "high"}
    assert set(numbers["baselines"]) == {"majority", "nb_svm"}
    assert numbers["lead"]["over"] in numbers["baselines"]
    assert numbers["calibration"]["error_before"] != numbers["calibration"]["error_after"]
    assert set(slice_values(evaluation)) == {"domain", "length", "unknown words"}
    assert set(details(evaluation)["labels"]) == set(evaluation.labels)


@pytest.mark.parametrize(
    ("low", "high", "start"),
    [
        (0.01, 0.03, "It is better than"),
        (-0.03, -0.01, "It is worse than"),
        (-0.01, 0.02, "There is no clear difference"),
    ],
)
def test_the_summary_claims_only_what_the_interval_shows(low: float, high: float, start: str) -> None:
    lead = {"value": (low + high) / 2, "low": low, "high": high}
    numbers = {
        "rows": 1914,
        "accuracy": {"value": 0.832, "low": 0.815, "high": 0.849},
        "macro_f1": {"value": 0.831, "low": 0.814, "high": 0.848},
        "calibration": {"temperature": 1.2, "error_before": 0.05, "error_after": 0.02},
        "lead": {"over": "nb_svm", "accuracy": lead, "macro_f1": lead, "mcnemar_p": 0.0001},
    }
    first, second, third = summarize(numbers, 0.95)
    assert first.startswith(
        "AtNet predicts the right label for 83.2% of 1,914 test texts (95% interval 81.5% to 84.9%)"
    )
    assert second.startswith(start)
    assert "NB-SVM" in second
    assert "p < 0.001" in second
    assert "2.0 percentage points" in third


@pytest.mark.parametrize(
    ("low", "high", "start"),
    [(0.01, 0.03, "It is better in accuracy than"), (-0.03, -0.01, "It is worse in accuracy than")],
)
def test_the_summary_names_the_only_score_that_differs(low: float, high: float, start: str) -> None:
    accuracy, macro_f1 = {"value": 0.01, "low": low, "high": high}, {"value": 0.0, "low": -0.01, "high": 0.01}
    same = {"value": 0.8, "low": 0.7, "high": 0.9}
    numbers = {
        "rows": 100,
        "accuracy": same,
        "macro_f1": same,
        "calibration": {"temperature": 1.0, "error_before": 0.0, "error_after": 0.0},
        "lead": {"over": "nb_svm", "accuracy": accuracy, "macro_f1": macro_f1, "mcnemar_p": 0.02},
    }
    assert summarize(numbers, 0.95)[1].startswith(start)


def test_a_label_the_model_does_not_know_is_named() -> None:
    table = pd.DataFrame({"id": ["1"], "text": ["x"], "label": ["new"]})
    predictions = Predictions(("a", "b"), np.zeros((1, 2), np.float32), np.full((1, 2), 0.5))
    with pytest.raises(DataContractError, match=r"labels that the model does not know: new.*dvc repro"):
        answers_for(table, predictions, pd.DataFrame({"id": ["1"], "majority": ["a"]}))


@pytest.mark.parametrize("ids", [["1"], ["1", "3"], ["1", "2", "2"]])
def test_baselines_of_other_rows_are_refused(ids: list[str]) -> None:
    table = pd.DataFrame({"id": ["1", "2"], "text": ["x", "y"], "label": ["a", "b"]})
    predictions = Predictions(("a", "b"), np.zeros((2, 2), np.float32), np.full((2, 2), 0.5))
    with pytest.raises(DataContractError, match="different ids"):
        answers_for(table, predictions, pd.DataFrame({"id": ids, "majority": "a"}))
