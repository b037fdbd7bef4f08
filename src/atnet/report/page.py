"""The report a reviewer reads: one page that needs no other file, no script and no network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from atnet.config import SPLITS, EvaluateConfig
from atnet.evaluation.bootstrap import Interval
from atnet.evaluation.evaluate import Evaluation, best_baseline_score
from atnet.evaluation.examples import ListedText, Sample, confused_pairs, least_certain, listed_text, most_wrong
from atnet.evaluation.predictions import SplitPredictions
from atnet.evaluation.ranking import ranked_classes
from atnet.evaluation.slices import BY_LENGTH, SliceScore, count_words
from atnet.inference import Explanation
from atnet.report import figures
from atnet.report.explanations.global_explanation import GlobalView
from atnet.report.highlights import Picture, picture
from atnet.report.rendering import page_template
from atnet.report.sentences import baseline_name, p_value, verdict
from atnet.report.word_map import map_figure
from atnet.schema import RATING, TEXT

CONFUSED_PAIRS = 12
MAJORITY = "majority"


@dataclass(frozen=True, slots=True)
class Identity:
    """What was judged."""

    model_hash: str
    temperature: float
    split_report: Mapping[str, Any]
    """As the split stage wrote it."""


@dataclass(frozen=True, slots=True)
class ExplainedText:
    """A text with its explanation, and why it was chosen."""

    why: str
    listed: ListedText
    picture: Picture


@dataclass(frozen=True, slots=True)
class Scale:
    """The stretch that a column of interval bars covers."""

    low: float
    high: float

    def holds(self, interval: Interval) -> bool:
        """Say whether all of an interval can be drawn."""
        return self.low <= interval.low and interval.high <= self.high

    def percent(self, value: float) -> float:
        """Place a value on the stretch, 0 to 100."""
        return round(100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low), 2)


def render_report(
    table: pd.DataFrame,
    answers: SplitPredictions,
    evaluation: Evaluation,
    metrics: Mapping[str, Any],
    samples: Sequence[Sample],
    explanations: Sequence[Explanation],
    overview: GlobalView,
    identity: Identity,
    config: EvaluateConfig,
) -> str:
    """Write the page as HTML.

    Args:
        table: the test split.
        answers: in the table's order.
        evaluation: of these answers.
        metrics: of the evaluation, as in metrics.json.
        samples: rows whose explanation is shown.
        explanations: one per sample.
        overview: what the model goes by over all texts.
        identity: of the model.
        config: intervals and lengths of lists.
    """
    wrong = most_wrong(answers.actual, answers.probabilities, config.example_texts)
    unsure = least_certain(answers.probabilities, config.example_texts)
    return page_template("report.html", FILTERS).render(
        evaluation=evaluation,
        identity=identity,
        config=config,
        verdict=verdict(metrics, config.confidence),
        best_baseline_score=best_baseline_score(evaluation.baselines),
        pairs=confused_pairs(evaluation.confusion, evaluation.labels, CONFUSED_PAIRS),
        positive=evaluation.labels[-1],
        words=np.quantile(count_words(table[TEXT]), [0.0, 0.5, 0.9, 1.0]).astype(int).tolist(),
        lists=_lists(wrong, unsure, table, answers),
        has_rating=RATING in table.columns,
        explained=[
            ExplainedText(sample.why, listed_text(sample.row, table, answers), picture(explanation))
            for sample, explanation in zip(samples, explanations, strict=True)
        ],
        overview=overview,
        splits={name: identity.split_report["splits"][name]["rows"] for name in SPLITS},
        leaks=sum(count for pair in identity.split_report["leaks"].values() for count in pair.values()),
        slices=slice_groups(evaluation.slices),
        scales=_scales(evaluation),
        figures=_figures(evaluation, overview),
    )


def scale(intervals: Sequence[Interval]) -> Scale:
    """Choose a stretch that holds all intervals, its ends on round numbers."""
    known = [value for one in intervals for value in (one.low, one.high) if np.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    step = 0.05 if high - low > 0.1 else 0.01
    low, high = np.floor(low / step) * step, np.ceil(high / step) * step
    return Scale(float(low), float(max(high, low + step)))


def slice_groups(slices: Sequence[SliceScore]) -> dict[str, list[SliceScore]]:
    """Group the slices by what they are parted by, in their order."""
    groups: dict[str, list[SliceScore]] = {}
    for one in slices:
        groups.setdefault(one.by, []).append(one)
    return groups


def _scales(evaluation: Evaluation) -> dict[str, Scale]:
    # The majority class is so far below that a scale with it would show no difference between the others.
    rivals = [one for one in evaluation.baselines if one.name != MAJORITY] or evaluation.baselines
    models = [evaluation.scores, *(one.scores for one in rivals)]
    leads = [one.lead.accuracy for one in rivals]
    slices = [one for one in evaluation.slices if one.accuracy is not None]
    return {
        "accuracy": scale([one.accuracy for one in models]),
        "lead": scale([*leads, Interval(0, 0, 0)]),
        "f1": scale([one.f1 for one in evaluation.classes]),
        "slice": scale([one.accuracy for one in slices if one.accuracy is not None]),
        "slice_lead": scale([*(one.lead for one in slices if one.lead is not None), Interval(0, 0, 0)]),
    }


def _lists(
    wrong: Sequence[int], unsure: Sequence[int], table: pd.DataFrame, answers: SplitPredictions
) -> dict[str, list[ListedText]]:
    return {
        "wrong": [listed_text(row, table, answers) for row in wrong],
        "unsure": [listed_text(row, table, answers) for row in unsure],
    }


def _figures(evaluation: Evaluation, overview: GlobalView) -> dict[str, str]:
    drawn = {
        "reliability": figures.reliability_figure(evaluation.calibration.before, evaluation.calibration.after),
        "confusion": figures.confusion_figure(evaluation.confusion, evaluation.labels),
    }
    if evaluation.curves is not None:
        support = [evaluation.classes[c].support for c in ranked_classes(len(evaluation.labels))]
        drawn["curves"] = figures.curves_figure(
            evaluation.curves,
            roc_auc=evaluation.soft.roc_auc.value,
            average_precision=evaluation.soft.average_precision.value,
            base_rate=float(np.mean(support)) / evaluation.rows,
        )
    scored = [(one, one.accuracy) for one in evaluation.slices if one.by == BY_LENGTH and one.accuracy is not None]
    if scored:
        drawn["length"] = figures.length_figure(
            [one.value for one, _ in scored],
            [one.rows for one, _ in scored],
            [accuracy for _, accuracy in scored],
            evaluation.scores.accuracy.value,
        )
    if overview.word_map is not None:
        drawn["words"] = map_figure(overview.word_map, evaluation.labels)
    return drawn


def _or_dash(value: float, form: str) -> str:
    return form.format(value) if np.isfinite(value) else "—"


FILTERS: dict[str, Callable[..., str]] = {
    "percent": lambda value: _or_dash(value, "{:.1%}"),
    "fixed": lambda value: _or_dash(value, "{:.3f}"),
    # z: a difference that rounds to zero is never a negative one.
    "signed": lambda value: _or_dash(value, "{:+z.3f}"),
    # Of a contribution; the sign of a small one must not get lost in a hyphen.
    "logits": lambda value: _or_dash(value, "{:+z.2f}").replace("-", "−"),
    "points": lambda value: _or_dash(100 * value, "{:+z.1f}"),
    "count": lambda value: f"{value:,}",
    "model": baseline_name,
    "p_value": p_value,
}
