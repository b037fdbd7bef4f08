"""The result of an evaluation in plain sentences, from metrics.json."""

from collections.abc import Mapping
from typing import Any

from atnet.formatting import fixed, interval, p_value, percent, points, signed, with_interval

DISPLAY_NAMES = {
    "atnet": "AtNet",
    "majority": "majority class",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "nb_svm": "NB-SVM",
    "linear_svm": "linear SVM",
}


def display_name(model: str) -> str:
    """Return the name of a model or baseline as people write it."""
    return DISPLAY_NAMES.get(model, model.replace("_", " "))


def summarize(metrics: Mapping[str, Any], confidence: float) -> list[str]:
    """Summarize how good the model is, whether it beats the baselines, how well it is calibrated, and what it answers.

    Args:
        metrics: as in metrics.json.
        confidence: of the intervals in it.
    """
    return [
        _quality_sentence(metrics, confidence),
        _comparison_sentence(metrics["lead"]),
        _calibration_sentence(metrics["calibration"]),
        *([_selective_sentence(metrics["selective"])] if "selective" in metrics else []),
    ]


def _quality_sentence(metrics: Mapping[str, Any], confidence: float) -> str:
    accuracy, macro_f1 = metrics["accuracy"], metrics["macro_f1"]
    return (
        f"AtNet predicts the right label for {percent(accuracy['value'])} of {metrics['rows']:,} test texts "
        f"({confidence:.0%} interval {interval(accuracy, percent)}); macro-F1 is {with_interval(macro_f1, fixed)}."
    )


def _comparison_sentence(lead: Mapping[str, Any]) -> str:
    baseline, accuracy, macro_f1 = display_name(lead["over"]), lead["accuracy"], lead["macro_f1"]
    numbers = (
        f"accuracy {points(accuracy['value'])} points ({interval(accuracy, points)}), "
        f"macro-F1 {with_interval(macro_f1, signed)}, McNemar p {p_value(lead['mcnemar_p'])}"
    )
    differences = {"accuracy": accuracy, "macro-F1": macro_f1}
    better = [name for name, difference in differences.items() if difference["low"] > 0]
    worse = [name for name, difference in differences.items() if difference["high"] < 0]
    if not better and not worse:
        return f"There is no clear difference from the best baseline, {baseline}: {numbers}."
    parts = [
        word if len(names) == len(differences) else f"{word} in {names[0]}"
        for word, names in (("better", better), ("worse", worse))
        if names
    ]
    return f"It is {' and '.join(parts)} than the best baseline, {baseline}: {numbers}."


def _calibration_sentence(calibration: Mapping[str, Any]) -> str:
    before, after = calibration["error_before"], calibration["error_after"]
    return (
        f"Its confidence differs from its accuracy by {100 * after:.1f} percentage points on average "
        f"({100 * before:.1f} before temperature scaling, temperature {calibration['temperature']:.2f})."
    )


def _selective_sentence(selective: Mapping[str, Any]) -> str:
    abstains = f"It abstains where its confidence is below {fixed(selective['min_confidence'])}"
    coverage = f"answers {with_interval(selective['coverage'], percent)} of the texts"
    if "accuracy" not in selective:
        return f"{abstains}: it {coverage}."
    return (
        f"{abstains}: it {coverage}, and {with_interval(selective['accuracy'], percent)} of the answers are right "
        f"(target {percent(selective['target_accuracy'])})."
    )
