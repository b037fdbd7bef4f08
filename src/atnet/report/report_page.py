"""The report of an evaluation: one page that needs no other file, no script and no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from atnet.config import SPLITS, EvaluateConfig
from atnet.evaluation.bootstrap import Interval
from atnet.evaluation.evaluate import Evaluation, best_baseline_score
from atnet.evaluation.examples import ListedText, Sample, confused_pairs, least_certain, listed_text, most_wrong
from atnet.evaluation.metrics import Ints
from atnet.evaluation.predictions import SplitPredictions
from atnet.evaluation.ranking import ranked_classes
from atnet.evaluation.slices import BY_LENGTH, SliceScore
from atnet.inference import Explanation
from atnet.report import figures
from atnet.report.explanations.global_explanation import GlobalExplanation
from atnet.report.highlights import HighlightedText, highlight
from atnet.report.rendering import page_template
from atnet.report.sentences import summarize
from atnet.report.word_map import word_map_figure
from atnet.schema import RATING

CONFUSED_PAIRS = 12
MAJORITY = "majority"


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The evaluated model and its data."""

    model_hash: str
    temperature: float
    split_report: Mapping[str, Any]
    """The report of the split stage."""


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything the report shows."""

    listed: pd.DataFrame
    """The rows of the test split in `listed_rows` and of the samples, indexed by their position in it."""
    words_N: Ints
    """White-space separated words of each row."""
    predictions: SplitPredictions
    """The predictions for all rows."""
    evaluation: Evaluation
    """The evaluation of these predictions."""
    metrics: Mapping[str, Any]
    """The contents of metrics.json."""
    samples: Sequence[Sample]
    """Rows whose explanation is shown."""
    explanations: Sequence[Explanation]
    """One per sample."""
    overview: GlobalExplanation
    """What the model relies on over all texts."""
    identity: ModelIdentity


@dataclass(frozen=True, slots=True)
class ExplainedText:
    """A sample text with its explanation, and why it was selected."""

    why: str
    listed: ListedText
    highlighted: HighlightedText


@dataclass(frozen=True, slots=True)
class BarScale:
    """The range of a column of interval bars."""

    low: float
    high: float

    def contains(self, interval: Interval) -> bool:
        """Return whether the whole interval fits on the scale."""
        return self.low <= interval.low and interval.high <= self.high

    def percent(self, value: float) -> float:
        """Return the position of a value on the scale, 0 to 100."""
        return round(100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low), 2)


def render_report(inputs: ReportInputs, config: EvaluateConfig) -> str:
    """Write the report as HTML."""
    evaluation, table = inputs.evaluation, inputs.listed
    split_report = inputs.identity.split_report
    return page_template("report.html", {"logits": format_logits}).render(
        evaluation=evaluation,
        identity=inputs.identity,
        config=config,
        summary=summarize(inputs.metrics, config.confidence),
        best_baseline=best_baseline_score(evaluation.baselines),
        pairs=confused_pairs(evaluation.confusion, evaluation.labels, CONFUSED_PAIRS),
        positive=evaluation.labels[-1],
        words=np.quantile(inputs.words_N, [0.0, 0.5, 0.9, 1.0]).astype(int).tolist(),
        lists=_text_lists(table, inputs.predictions, config.example_texts),
        has_rating=RATING in table.columns,
        explained=[
            ExplainedText(sample.why, listed_text(sample.row, table, inputs.predictions), highlight(explanation))
            for sample, explanation in zip(inputs.samples, inputs.explanations, strict=True)
        ],
        overview=inputs.overview,
        splits={name: split_report["splits"][name]["rows"] for name in SPLITS},
        leaks=sum(count for pair in split_report["leaks"].values() for count in pair.values()),
        slices=group_slices(evaluation.slices),
        scales=_bar_scales(evaluation),
        figures=_figures(evaluation, inputs.overview),
    )


def listed_rows(predictions: SplitPredictions, limit: int) -> dict[str, list[int]]:
    """Return the rows of the lists of most wrong and least certain texts."""
    return {
        "wrong": most_wrong(predictions.actual, predictions.probabilities, limit),
        "uncertain": least_certain(predictions.probabilities, limit),
    }


def bar_scale(intervals: Sequence[Interval]) -> BarScale:
    """Choose a range with round ends that contains all intervals."""
    bounds = [bound for interval in intervals for bound in (interval.low, interval.high) if np.isfinite(bound)]
    low, high = min(bounds, default=0.0), max(bounds, default=1.0)
    step = 0.05 if high - low > 0.1 else 0.01
    low, high = np.floor(low / step) * step, np.ceil(high / step) * step
    return BarScale(float(low), float(max(high, low + step)))


def group_slices(slices: Sequence[SliceScore]) -> dict[str, list[SliceScore]]:
    """Group the slices by column, in their order."""
    groups: dict[str, list[SliceScore]] = {}
    for slice_score in slices:
        groups.setdefault(slice_score.by, []).append(slice_score)
    return groups


def format_logits(value: float) -> str:
    """Write a contribution in logits with a real minus sign, which is easier to see than a hyphen."""
    return f"{value:+z.2f}".replace("-", "−") if np.isfinite(value) else "—"


def _bar_scales(evaluation: Evaluation) -> dict[str, BarScale]:
    # The majority class is so far below that a scale with it would hide the differences between the others.
    baselines = [baseline for baseline in evaluation.baselines if baseline.name != MAJORITY] or evaluation.baselines
    scores = [evaluation.scores, *(baseline.scores for baseline in baselines)]
    scored = [slice_score for slice_score in evaluation.slices if slice_score.accuracy is not None]
    zero = Interval(0, 0, 0)
    return {
        "accuracy": bar_scale([score.accuracy for score in scores]),
        "lead": bar_scale([*(baseline.lead.accuracy for baseline in baselines), zero]),
        "f1": bar_scale([label.f1 for label in evaluation.classes]),
        "slice": bar_scale([score.accuracy for score in scored if score.accuracy is not None]),
        "slice_lead": bar_scale([*(score.lead for score in scored if score.lead is not None), zero]),
    }


def _text_lists(table: pd.DataFrame, predictions: SplitPredictions, limit: int) -> dict[str, list[ListedText]]:
    rows = listed_rows(predictions, limit)
    return {name: [listed_text(row, table, predictions) for row in listed] for name, listed in rows.items()}


def _figures(evaluation: Evaluation, overview: GlobalExplanation) -> dict[str, str]:
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
    by_length = [(part, part.accuracy) for part in evaluation.slices if part.by == BY_LENGTH and part.accuracy]
    if by_length:
        drawn["length"] = figures.length_figure(
            [part.value for part, _ in by_length],
            [part.rows for part, _ in by_length],
            [accuracy for _, accuracy in by_length],
            evaluation.scores.accuracy.value,
        )
    if overview.word_map is not None:
        drawn["words"] = word_map_figure(overview.word_map, evaluation.labels)
    return drawn
