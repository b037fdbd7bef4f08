"""The gate as a function: predictions in, a decision with its reasons out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.config import Params, ReleaseConfig
from atnet.data.repeated_ids import hash_ids
from atnet.errors import ReleaseError
from atnet.evaluation.slices import ColumnValues
from atnet.isolated.process import ClassProbabilities
from atnet.release.behavior.runner import BehaviorResult, GroupResult
from atnet.release.behavior.suites import TEST_TYPES
from atnet.release.gate.gate_checks import decide
from atnet.release.gate.gate_rows import GateRows
from atnet.release.gate.measurements import measure
from atnet.release.gate.result import CheckResult, GateResult
from atnet.release.gate.scored_models import (
    GateInputs,
    GoldenPredictions,
    ModelPredictions,
    ScoredModel,
    common_labels,
)
from atnet.release.gate.significance import Resampling, compare_paired, conservative_lower_bound, holm, sign_test
from atnet.schema import text_hash
from atnet.text_hashes import TextHashes
from benchmarks.gate_power import Scenario, promotions, simulate

LABELS = ("negative", "positive")
SERVABLE = CheckResult("servable", "passed", "predicted 2 rows", "predicts", "The version can be served.")
GOOD_BEHAVIOR = BehaviorResult(
    tuple(
        GroupResult("English", test_type, "group", cases=30, passed=30, skipped=0, failures=())
        for test_type in TEST_TYPES
    )
)


@pytest.fixture
def config(params: Params) -> ReleaseConfig:
    return params.release


def rows(count: int, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"row-{row}" for row in range(count)],
            "text": [f"text {'very ' * int(rng.integers(1, 20))}{row}" for row in range(count)],
            "label": rng.choice(LABELS, size=count),
            "domain": np.where(np.arange(count) % 4 == 0, "tweets", "movie"),
        }
    ).assign(text_hash=lambda table: table["text"].map(text_hash))


@dataclass(frozen=True)
class TablePredictions:
    """A model's probabilities for the rows of a table."""

    model: str
    labels: tuple[str, ...]
    ids: pd.Series
    probabilities: np.ndarray

    def reduced(self, common: tuple[str, ...]) -> ModelPredictions:
        predicted = ClassProbabilities(self.labels, self.probabilities)
        return ModelPredictions.of(self.model, predicted, hash_ids(self.ids), common)


def predictions(
    table: pd.DataFrame,
    model: str,
    correct_N: np.ndarray,
    labels: tuple[str, ...] = LABELS,
    confidence: float = 0.8,
) -> TablePredictions:
    """Return predictions that are correct on the given rows, with the same confidence everywhere."""
    other = dict(zip(labels, (*labels[1:], labels[0]), strict=True))
    predicted = [
        label if correct and label in labels else other.get(label, labels[0])
        for label, correct in zip(table["label"], correct_N, strict=True)
    ]
    probabilities = np.full((len(table), len(labels)), (1 - confidence) / (len(labels) - 1))
    probabilities[np.arange(len(table)), [labels.index(label) for label in predicted]] = confidence
    return TablePredictions(model, labels, table["id"], probabilities)


def predicted_labels(model: TablePredictions) -> list[str]:
    return [model.labels[best] for best in model.probabilities.argmax(axis=1)]


def correct_rows(count: int, accuracy: float, *, shift: int = 0) -> np.ndarray:
    """Spread the mistakes evenly over the rows."""
    return ((np.arange(count) * 7 + shift) % 100) < round(100 * accuracy)


def gate(
    config: ReleaseConfig,
    table: pd.DataFrame,
    *,
    challenger: TablePredictions | None = None,
    champion: TablePredictions | None = None,
    has_champion: bool = True,
    rng: np.random.Generator | None = None,
    **changes: Any,
) -> GateResult:
    """Run the gate on a good challenger and a weaker champion, unless a test changes that."""
    count = len(table)
    challenger = challenger or predictions(table, "c" * 64, correct_rows(count, 0.84))
    champion = champion or predictions(table, "a" * 64, correct_rows(count, 0.8))
    common = common_labels(challenger.labels, champion.labels) if has_champion else challenger.labels
    train_hashes, challenger_ms = (
        changes.pop("champion_train_hashes", TextHashes.of()),
        changes.pop("challenger_ms", 0.1),
    )
    baselines = changes.pop(
        "baselines",
        {
            "majority": ["negative"] * count,
            "nb_svm": predicted_labels(predictions(table, "b", correct_rows(count, 0.8))),
        },
    )
    values: dict[str, Any] = {
        "test": GateRows.of(table, train_hashes),
        "challenger": ScoredModel(challenger.reduced(common), challenger_ms),
        "champion": ScoredModel(champion.reduced(common), 0.1) if has_champion else None,
        "baselines": {name: ColumnValues.of(pd.Series(labels)) for name, labels in baselines.items()},
        "behavior": GOOD_BEHAVIOR,
        "size_bytes": 10_000_000,
        "servable": SERVABLE,
    }
    inputs = GateInputs(**(values | changes))
    return decide(measure(inputs, config, rng or np.random.default_rng(config.seed)), config)


def golden_predictions(
    golden: pd.DataFrame, challenger: TablePredictions, champion: TablePredictions | None
) -> GoldenPredictions:
    rows = GateRows.of(golden, TextHashes.of())
    return GoldenPredictions(rows, challenger.reduced(LABELS), champion.reduced(LABELS) if champion else None)


def changed(config: ReleaseConfig, **changes: Any) -> ReleaseConfig:
    return config.model_validate(config.model_dump() | changes)


def check(result: GateResult, name: str) -> CheckResult:
    return next(check for check in result.checks if check.name == name)


def test_a_better_challenger_is_promoted(config: ReleaseConfig) -> None:
    result = gate(config, rows(1000))
    assert result.decision == "promote"
    assert result.reasons == []
    assert result.rows_compared == 1000
    assert result.metrics["champion_delta"] == pytest.approx(0.04, abs=0.002)
    assert 0 < result.metrics["champion_delta_low"] < result.metrics["champion_delta"]


def test_an_equal_challenger_is_not_superior_but_can_pass_as_non_inferior(config: ReleaseConfig) -> None:
    table = rows(4000)
    equal = predictions(table, "c" * 64, correct_rows(4000, 0.82, shift=1))
    champion = predictions(table, "a" * 64, correct_rows(4000, 0.82))
    assert gate(config, table, challenger=equal, champion=champion).failed == ["champion"]
    non_inferiority = changed(config, rule="non_inferiority")
    assert gate(non_inferiority, table, challenger=equal, champion=champion).decision == "promote"


def test_the_first_model_must_pass_the_minimum_scores_and_the_baseline(config: ReleaseConfig) -> None:
    table = rows(1000)
    result = gate(config, table, has_champion=False)
    assert result.decision == "promote"
    assert (result.champion, result.rows_compared) == (None, 0)
    assert check(result, "champion").status == "skipped"
    below = predictions(table, "c" * 64, correct_rows(1000, 0.78))
    assert gate(config, table, has_champion=False, challenger=below).failed == ["baseline"]


def test_a_model_trained_on_shuffled_labels_is_rejected_with_every_reason(config: ReleaseConfig) -> None:
    table = rows(1000)
    useless = predictions(table, "c" * 64, correct_rows(1000, 0.5))
    bad = BehaviorResult((GroupResult("English", "MFT", "praise", cases=30, passed=14, skipped=0, failures=()),))
    result = gate(config, table, challenger=useless, behavior=bad)
    assert result.decision == "reject"
    expected = {"champion", "slices", "minimum accuracy", "minimum macro-F1", "baseline", "behavior: MFT"}
    assert {*result.failed} == expected | {"calibration"}
    assert "praise (English), 16 of 30" in " ".join(result.reasons)


def test_a_model_that_predicts_as_the_champion_does_is_not_promoted(config: ReleaseConfig) -> None:
    table = rows(300)
    same = predictions(table, "a" * 64, correct_rows(300, 0.8))
    result = gate(config, table, challenger=same, champion=same)
    assert result.decision == "reject"
    assert "champion" in result.failed


def test_rows_the_champion_was_trained_on_are_excluded_for_both_models_and_counted(config: ReleaseConfig) -> None:
    table = rows(1000)
    learned = TextHashes.of(table["text_hash"][:300])
    memorized_N = np.where(np.arange(1000) < 300, True, correct_rows(1000, 0.8))
    champion = predictions(table, "a" * 64, memorized_N)
    result = gate(config, table, champion=champion, champion_train_hashes=learned)
    assert (result.rows_compared, result.rows_excluded) == (700, 300)
    assert result.decision == "promote"
    assert "champion" in gate(config, table, champion=champion).failed


def test_too_few_remaining_rows_reject_the_challenger_with_that_reason(config: ReleaseConfig) -> None:
    table = rows(400)
    result = gate(config, table, champion_train_hashes=TextHashes.of(table["text_hash"][:250]))
    assert result.failed == ["rows"]
    assert "Only 150 are left" in result.reasons[0]


def test_a_worse_slice_rejects_a_challenger_that_is_better_overall(config: ReleaseConfig) -> None:
    table = rows(2000)
    champion = correct_rows(2000, 0.8)
    tweets_N = (table["domain"] == "tweets").to_numpy()
    mixed_N = np.where(tweets_N, correct_rows(2000, 0.6), correct_rows(2000, 0.95))
    result = gate(
        config,
        table,
        challenger=predictions(table, "c" * 64, mixed_N, confidence=0.9),
        champion=predictions(table, "a" * 64, champion),
    )
    assert result.failed == ["slices"]
    assert "domain: tweets" in result.reasons[0]


def test_changed_labels_are_rejected_with_the_reason(config: ReleaseConfig) -> None:
    table = rows(600)
    champion = predictions(table, "a" * 64, correct_rows(600, 0.8), ("negative", "neutral", "positive"))
    result = gate(config, table, champion=champion)
    assert result.failed == ["labels"]
    assert "removed: neutral" in result.reasons[0]
    assert "allow_label_change" in result.reasons[0]


def test_allowed_label_changes_are_compared_over_the_common_labels(config: ReleaseConfig) -> None:
    table = rows(900)
    three_labels = table.assign(label=np.where(np.arange(900) % 3 == 0, "neutral", table["label"]))
    labels = ("negative", "neutral", "positive")
    result = gate(
        changed(config, allow_label_change=True),
        three_labels,
        challenger=predictions(three_labels, "c" * 64, correct_rows(900, 0.9), labels, confidence=0.9),
        champion=predictions(table, "a" * 64, correct_rows(900, 0.8)),
        baselines={"majority": ["negative"] * 900},
    )
    assert result.decision == "promote"
    assert result.rows_compared == 600
    assert "common labels negative, positive only; 300 rows" in result.warnings[0]


def test_the_order_of_the_labels_does_not_matter(config: ReleaseConfig) -> None:
    table = rows(500)
    result = gate(config, table)
    reversed_labels = gate(config, table, champion=predictions(table, "a" * 64, correct_rows(500, 0.8), LABELS[::-1]))
    assert result.to_dict() == reversed_labels.to_dict()


def test_size_and_calibration_reject_while_latency_warns(config: ReleaseConfig) -> None:
    table = rows(1000)
    overconfident = predictions(table, "c" * 64, correct_rows(1000, 0.84), confidence=0.99)
    result = gate(config, table, challenger=overconfident, size_bytes=300_000_000, challenger_ms=0.4)
    assert result.failed == ["calibration", "size"]
    assert check(result, "latency").status == "warning"
    assert check(gate(config, table, challenger_ms=None), "latency").status == "skipped"


def test_a_model_that_cannot_be_served_is_rejected(config: ReleaseConfig) -> None:
    broken = CheckResult("servable", "failed", "no prediction", "predicts", "It imports tensorflow.")
    assert gate(config, rows(500), servable=broken).reasons == ["servable: It imports tensorflow."]


def test_too_few_behavior_cases_give_a_warning(config: ReleaseConfig) -> None:
    few = BehaviorResult((GroupResult("English", "MFT", "praise", cases=0, passed=0, skipped=40, failures=()),))
    result = gate(config, rows(1000), behavior=few)
    assert result.decision == "promote"
    assert check(result, "behavior: MFT").status == "warning"
    assert "40 do not" in check(result, "behavior: MFT").reason


def test_the_golden_set_has_a_minimum_accuracy_and_is_compared_with_the_champion(config: ReleaseConfig) -> None:
    with_golden = changed(config, golden={"path": "golden.csv", "min_accuracy": 0.7})
    golden = rows(200, seed=5).drop(columns="text_hash")
    good, bad = (
        predictions(golden, model * 64, correct_rows(200, accuracy)) for model, accuracy in (("a", 0.95), ("c", 0.6))
    )
    result = gate(with_golden, rows(1000), golden=golden_predictions(golden, bad, good))
    assert result.failed == ["golden accuracy", "golden champion"]
    first = gate(
        with_golden,
        rows(1000),
        has_champion=False,
        golden=golden_predictions(golden, good, None),
    )
    assert first.decision == "promote"


def test_predictions_for_other_rows_are_refused(config: ReleaseConfig) -> None:
    table = rows(300)
    reversed_rows = predictions(table[::-1], "c" * 64, correct_rows(300, 0.9))
    with pytest.raises(ReleaseError, match="not the same rows"):
        gate(config, table, challenger=reversed_rows)
    with pytest.raises(ReleaseError, match="Baseline majority has predictions for 2 rows"):
        gate(config, table, baselines={"majority": ["negative", "positive"]})
    two_labels = predictions(table, "c", correct_rows(300, 0.8))
    with pytest.raises(ReleaseError, match="does not have labels that the rows have: neutral"):
        gate(config, table.assign(label="neutral"), has_champion=False, challenger=two_labels)


def test_the_same_inputs_give_the_same_result_which_can_be_read_back(config: ReleaseConfig) -> None:
    table = rows(500)
    result = gate(config, table)
    assert result == gate(config, table)
    assert GateResult.from_dict(result.to_dict()) == result
    assert result.to_markdown().startswith("# Gate: promote\n")
    assert "| champion | passed |" in result.to_markdown()


@pytest.mark.slow
def test_without_a_true_difference_superiority_promotes_in_at_most_5_percent_of_400_trials() -> None:
    assert promotions(Scenario(rows=2000), 400, samples=500) <= 20


def test_with_a_true_gain_of_two_points_on_2000_rows_superiority_usually_promotes() -> None:
    assert promotions(Scenario(rows=2000, gain=0.02), 100, samples=500) >= 65


@pytest.mark.slow
def test_the_whole_gate_keeps_its_error_rate_over_400_trials(config: ReleaseConfig) -> None:
    promoted = {0.0: 0, 0.02: 0}
    table = rows(2000)
    labels = np.array(LABELS)
    for gain in promoted:
        for trial in range(400):
            rng = np.random.default_rng([trial, 2])
            simulated = simulate(Scenario(rows=2000, gain=gain), rng)
            labeled = table.assign(label=labels[simulated.actual_N])
            correct = {
                model: predictions(labeled, model * 64, predicted_N == simulated.actual_N, confidence=0.82)
                for model, predicted_N in (("c", simulated.challenger_N), ("a", simulated.champion_N))
            }
            result = gate(
                config,
                labeled,
                challenger=correct["c"],
                champion=correct["a"],
                baselines={"majority": ["negative"] * 2000},
                rng=rng,
            )
            promoted[gain] += result.decision == "promote"
    assert promoted[0.0] <= 20
    assert promoted[0.02] >= 280


def test_the_conservative_bound_is_below_the_plain_percentile() -> None:
    resampled = np.random.default_rng(0).normal(0.02, 0.01, size=2000)
    assert conservative_lower_bound(0.02, resampled, 0.95) < np.quantile(resampled, 0.05)


def test_two_models_that_agree_everywhere_are_never_superior() -> None:
    actual = np.array([0, 1] * 50)
    comparison = compare_paired(actual, actual, actual, 2, Resampling(200, 0.95), np.random.default_rng(0))
    assert comparison.delta == 0
    assert comparison.low < 0


def test_holm_returns_what_stays_significant_among_many() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}, 0.05) == {"a": pytest.approx(0.03)}
    assert list(holm({"a": 0.001, "b": 0.002}, 0.05)) == ["a", "b"]
    assert holm({}, 0.05) == {}


def test_the_sign_test_counts_exactly() -> None:
    assert sign_test(0, 5) == pytest.approx(1 / 32)
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == 1
