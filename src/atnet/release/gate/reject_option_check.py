"""The check of a challenger that abstains where it is not confident."""

from scipy.stats import binom

from atnet.config import ReleaseConfig
from atnet.evaluation.selective import SelectiveScores
from atnet.formatting import percent, with_interval
from atnet.release.gate.result import CheckResult, check_status

NAME = "reject option"


def reject_option_checks(scores: SelectiveScores | None, config: ReleaseConfig) -> list[CheckResult]:
    """Require that the answers of a model that abstains are not significantly less accurate than stated."""
    if scores is None:
        return []
    target, severity = scores.option.target_accuracy, config.reject_option.severity
    required = f"answers not significantly less accurate than {target:g} (one-sided, {config.confidence:.0%})"
    observed = f"coverage {with_interval(scores.coverage, percent)}"
    if not scores.answered:
        reason = "The model abstains from every test text. Lower evaluate.target_accuracy and train again."
        return [
            CheckResult("reject option", check_status(False, config.reject_option.severity), observed, required, reason)
        ]
    p_value = float(binom.cdf(scores.right, scores.answered, target))
    passed = p_value >= 1 - config.confidence
    return [
        CheckResult(
            NAME,
            check_status(passed, severity),
            f"{observed}, accuracy of the answers {with_interval(scores.accuracy, percent)}",
            required,
            f"{scores.right:,} of {scores.answered:,} answers are right, {'not ' if passed else ''}significantly fewer "
            f"than {target:.1%} (exact one-sided p = {p_value:.4f}).",
        )
    ]
