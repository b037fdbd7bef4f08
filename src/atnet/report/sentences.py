"""The result of an evaluation in plain sentences, from metrics.json."""

from collections.abc import Mapping
from typing import Any

BASELINE_NAMES = {
    "majority": "majority class",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "nb_svm": "NB-SVM",
}


def baseline_name(key: str) -> str:
    """Give a baseline's name as people write it."""
    return BASELINE_NAMES.get(key, key.replace("_", " "))


def verdict(metrics: Mapping[str, Any], confidence: float) -> list[str]:
    """Say how good the model is, whether it beats the baselines, and whether its confidence can be believed.

    Args:
        metrics: as in metrics.json.
        confidence: of the intervals in it.
    """
    return [_quality(metrics, confidence), _lead(metrics["lead"]), _calibration(metrics["calibration"])]


def _quality(metrics: Mapping[str, Any], confidence: float) -> str:
    accuracy, macro_f1 = metrics["accuracy"], metrics["macro_f1"]
    return (
        f"AtNet gives {accuracy['value']:.1%} of {metrics['rows']:,} test texts the right label "
        f"({confidence:.0%} interval {accuracy['low']:.1%} to {accuracy['high']:.1%}); "
        f"macro-F1 is {macro_f1['value']:.3f} ({macro_f1['low']:.3f} to {macro_f1['high']:.3f})."
    )


def _lead(lead: Mapping[str, Any]) -> str:
    over, accuracy, macro_f1 = baseline_name(lead["over"]), lead["accuracy"], lead["macro_f1"]
    numbers = (
        f"accuracy {_points(accuracy['value'])} points ({_points(accuracy['low'])} to {_points(accuracy['high'])}), "
        f"macro-F1 {macro_f1['value']:+.3f} ({macro_f1['low']:+.3f} to {macro_f1['high']:+.3f}), "
        f"McNemar p {p_value(lead['mcnemar_p'])}"
    )
    measures = {"accuracy": accuracy, "macro-F1": macro_f1}
    better = [name for name, difference in measures.items() if difference["low"] > 0]
    worse = [name for name, difference in measures.items() if difference["high"] < 0]
    if not better and not worse:
        return f"No clear difference from the best_baseline_score baseline, {over}, is established: {numbers}."
    sides = (("better", better), ("worse", worse))
    said = [word if names == list(measures) else f"{word} in {names[0]}" for word, names in sides if names]
    return f"It is {' and '.join(said)} than the best_baseline_score baseline, {over}: {numbers}."


def _calibration(calibration: Mapping[str, Any]) -> str:
    before, after = calibration["error_before"], calibration["error_after"]
    return (
        f"Its confidence is off by {100 * after:.1f} points on average "
        f"({100 * before:.1f} before temperature scaling, temperature {calibration['temperature']:.2f})."
    )


def p_value(value: float) -> str:
    """Write a p-value with its sign: '= 0.031' or '< 0.001'."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+z.1f}"
