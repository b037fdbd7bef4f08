from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet.config import Params, ReleaseConfig
from atnet.errors import ReleaseError
from atnet.release.behavior.runner import BehaviorResult, GroupResult
from atnet.release.gate.decision import judge
from atnet.release.gate.result import CheckResult, GateResult, Golden, Latency, ModelPredictions
from atnet.release.gate.significance import conservative_lower_bound, duel, holm, sign_test
from atnet.schema import text_hash
from benchmarks.gate_power import Scenario, draw, promotions

LABELS = ("negative", "positive")
SERVABLE = CheckResult("servable", "passed", "answers", "answers", "It answers.")
GOOD_BEHAVIOUR = BehaviorResult(
    tuple(
        GroupResult("English", kind, "group", cases=30, passed=30, skipped=0, failures=())
        for kind in ("MFT", "INV", "DIR")
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


def answers(
    table: pd.DataFrame, model: str, right: np.ndarray, labels: tuple[str, ...] = LABELS, confidence: float = 0.8
) -> ModelPredictions:
    """Give a model that is right where told, with the same confidence everywhere."""
    other = dict(zip(labels, (*labels[1:], labels[0]), strict=True))
    given = [
        label if good and label in labels else other.get(label, labels[0])
        for label, good in zip(table["label"], right, strict=True)
    ]
    probabilities = np.full((len(table), len(labels)), (1 - confidence) / (len(labels) - 1))
    probabilities[np.arange(len(table)), [labels.index(label) for label in given]] = confidence
    return ModelPredictions(model, labels, table["id"].tolist(), probabilities)


def labels_of(given: ModelPredictions) -> list[str]:
    return [given.labels[best] for best in given.probabilities.argmax(axis=1)]


def pattern(count: int, accuracy: float, *, shift: int = 0) -> np.ndarray:
    """Spread the mistakes evenly over the rows."""
    return ((np.arange(count) * 7 + shift) % 100) < round(100 * accuracy)


def verdict(config: ReleaseConfig, table: pd.DataFrame, **changes: Any) -> GateResult:
    count = len(table)
    given: dict[str, Any] = {
        "test": table,
        "challenger": answers(table, "c" * 64, pattern(count, 0.84)),
        "champion": answers(table, "a" * 64, pattern(count, 0.8)),
        "champion_train_hashes": frozenset(),
        "baselines": {"majority": ["negative"] * count, "nb_svm": labels_of(answers(table, "b", pattern(count, 0.8)))},
        "behavior": GOOD_BEHAVIOUR,
        "size_bytes": 10_000_000,
        "latency": Latency(challenger_ms=0.1, champion_ms=0.1),
        "golden": None,
        "servable": SERVABLE,
        "rng": np.random.default_rng(config.seed),
    }
    return judge(config, **(given | changes))


def changed(config: ReleaseConfig, **changes: Any) -> ReleaseConfig:
    return config.model_validate(config.model_dump() | changes)


def check(found: GateResult, name: str) -> CheckResult:
    return next(one for one in found.checks if one.name == name)


def failed(found: GateResult) -> list[str]:
    return [one.name for one in found.checks if one.outcome == "failed"]


def test_a_better_challenger_is_promoted(config: ReleaseConfig) -> None:
    found = verdict(config, rows(1000))
    assert found.decision == "promote"
    assert found.reasons == []
    assert found.rows_compared == 1000
    assert found.numbers["champion_lead"] == pytest.approx(0.04, abs=0.002)
    assert 0 < found.numbers["champion_lead_low"] < found.numbers["champion_lead"]


def test_an_equal_challenger_is_rejected_as_not_superior_but_may_pass_as_not_worse(config: ReleaseConfig) -> None:
    table = rows(4000)
    equal = answers(table, "c" * 64, pattern(4000, 0.82, shift=1))
    champion = answers(table, "a" * 64, pattern(4000, 0.82))
    assert failed(verdict(config, table, challenger=equal, champion=champion)) == ["champion"]
    assert (
        verdict(changed(config, rule="non_inferiority"), table, challenger=equal, champion=champion).decision
        == "promote"
    )


def test_the_first_model_is_judged_by_minima_and_baseline(config: ReleaseConfig) -> None:
    table = rows(1000)
    found = verdict(config, table, champion=None)
    assert found.decision == "promote"
    assert (found.champion, found.rows_compared) == (None, 0)
    assert check(found, "champion").outcome == "not checked"
    below = verdict(config, table, champion=None, challenger=answers(table, "c" * 64, pattern(1000, 0.78)))
    assert failed(below) == ["baseline"]


def test_a_model_trained_on_shuffled_labels_is_told_every_reason(config: ReleaseConfig) -> None:
    table = rows(1000)
    useless = answers(table, "c" * 64, pattern(1000, 0.5))
    bad = BehaviorResult((GroupResult("English", "MFT", "praise", cases=30, passed=14, skipped=0, failures=()),))
    found = verdict(config, table, challenger=useless, behavior=bad)
    assert found.decision == "reject"
    expected = {"champion", "slices", "minimum accuracy", "minimum macro-F1", "baseline", "behavior: MFT"}
    assert {*failed(found)} == expected | {"calibration"}
    assert "praise (English), 16 of 30" in " ".join(found.reasons)


def test_the_champion_itself_is_no_change(config: ReleaseConfig) -> None:
    table = rows(300)
    same = answers(table, "a" * 64, pattern(300, 0.8))
    found = verdict(config, table, challenger=same, champion=same)
    assert found.decision == "no change"


def test_rows_the_champion_learnt_from_are_left_out_for_both_and_counted(config: ReleaseConfig) -> None:
    table = rows(1000)
    learned = frozenset(table["text_hash"][:300])
    knows_by_heart = np.where(np.arange(1000) < 300, True, pattern(1000, 0.8))
    champion = answers(table, "a" * 64, knows_by_heart)
    found = verdict(config, table, champion=champion, champion_train_hashes=learned)
    assert (found.rows_compared, found.rows_left_out) == (700, 300)
    assert found.decision == "promote"
    assert "champion" in failed(verdict(config, table, champion=champion))


def test_too_few_rows_left_is_a_rejection_that_says_so(config: ReleaseConfig) -> None:
    table = rows(400)
    found = verdict(config, table, champion_train_hashes=frozenset(table["text_hash"][:250]))
    assert failed(found) == ["rows"]
    assert "Only 150 are left" in found.reasons[0]


def test_a_slice_that_got_worse_rejects_though_the_whole_got_better(config: ReleaseConfig) -> None:
    table = rows(2000)
    champion = pattern(2000, 0.8)
    tweets = (table["domain"] == "tweets").to_numpy()
    mixed = np.where(tweets, pattern(2000, 0.6), pattern(2000, 0.95))
    found = verdict(
        config,
        table,
        challenger=answers(table, "c" * 64, mixed, confidence=0.9),
        champion=answers(table, "a" * 64, champion),
    )
    assert failed(found) == ["slices"]
    assert "domain: tweets" in found.reasons[0]


def test_changed_labels_are_rejected_with_the_reason(config: ReleaseConfig) -> None:
    table = rows(600)
    champion = answers(table, "a" * 64, pattern(600, 0.8), ("negative", "neutral", "positive"))
    found = verdict(config, table, champion=champion)
    assert failed(found) == ["labels"]
    assert "gone: neutral" in found.reasons[0]
    assert "allow_label_change" in found.reasons[0]


def test_allowed_label_changes_are_compared_over_the_common_labels(config: ReleaseConfig) -> None:
    table = rows(900)
    wide = table.assign(label=np.where(np.arange(900) % 3 == 0, "neutral", table["label"]))
    labels = ("negative", "neutral", "positive")
    found = verdict(
        changed(config, allow_label_change=True),
        wide,
        challenger=answers(wide, "c" * 64, pattern(900, 0.9), labels, confidence=0.9),
        champion=answers(table, "a" * 64, pattern(900, 0.8)),
        baselines={"majority": ["negative"] * 900},
    )
    assert found.decision == "promote"
    assert found.rows_compared == 600
    assert "common labels negative, positive only; 300 rows" in found.warnings[0]


def test_the_order_of_the_labels_does_not_matter(config: ReleaseConfig) -> None:
    table = rows(500)
    plain = verdict(config, table)
    turned = verdict(config, table, champion=answers(table, "a" * 64, pattern(500, 0.8), LABELS[::-1]))
    assert plain.to_dict() == turned.to_dict()


def test_size_and_calibration_reject_while_latency_warns(config: ReleaseConfig) -> None:
    table = rows(1000)
    oversure = answers(table, "c" * 64, pattern(1000, 0.84), confidence=0.99)
    found = verdict(config, table, challenger=oversure, size_bytes=300_000_000, latency=Latency(0.4, 0.1))
    assert failed(found) == ["calibration", "size"]
    assert check(found, "latency").outcome == "warning"
    assert check(verdict(config, table, latency=None), "latency").outcome == "not checked"


def test_a_model_that_cannot_be_served_is_rejected(config: ReleaseConfig) -> None:
    broken = CheckResult("servable", "failed", "no answer", "answers", "It imports tensorflow.")
    assert verdict(config, rows(500), servable=broken).reasons == ["servable: It imports tensorflow."]


def test_too_few_behaviour_cases_give_a_warning(config: ReleaseConfig) -> None:
    few = BehaviorResult((GroupResult("English", "MFT", "praise", cases=0, passed=0, skipped=40, failures=()),))
    found = verdict(config, rows(1000), behavior=few)
    assert found.decision == "promote"
    assert check(found, "behavior: MFT").outcome == "warning"
    assert "40 do not" in check(found, "behavior: MFT").reason


def test_the_golden_set_has_a_minimum_and_is_not_lost_on(config: ReleaseConfig) -> None:
    with_golden = changed(config, golden={"path": "golden.csv", "min_accuracy": 0.7})
    frozen = rows(200, seed=5).drop(columns="text_hash")
    best, bad = (answers(frozen, model * 64, pattern(200, share)) for model, share in (("a", 0.95), ("c", 0.6)))
    found = verdict(with_golden, rows(1000), golden=Golden(frozen, challenger=bad, champion=best))
    assert failed(found) == ["golden accuracy", "golden champion"]
    first = verdict(with_golden, rows(1000), champion=None, golden=Golden(frozen, challenger=best, champion=None))
    assert first.decision == "promote"


def test_answers_on_other_rows_are_refused(config: ReleaseConfig) -> None:
    table = rows(300)
    turned = answers(table[::-1], "c" * 64, pattern(300, 0.9))
    with pytest.raises(ReleaseError, match="not the same rows"):
        verdict(config, table, challenger=turned)
    with pytest.raises(ReleaseError, match="Baseline majority answered 2 rows"):
        verdict(config, table, baselines={"majority": ["negative", "positive"]})
    with pytest.raises(ReleaseError, match="cannot give labels that the rows have: neutral"):
        verdict(config, table.assign(label="neutral"), champion=None, challenger=answers(table, "c", pattern(300, 0.8)))


def test_the_same_input_gives_the_same_verdict_and_the_file_reads_back(config: ReleaseConfig) -> None:
    table = rows(500)
    found = verdict(config, table)
    assert found == verdict(config, table)
    assert GateResult.from_dict(found.to_dict()) == found
    assert found.to_markdown().startswith("# Gate: promote\n")
    assert "| champion | passed |" in found.to_markdown()


def test_without_a_true_difference_superior_promotes_in_at_most_5_percent_of_400_trials() -> None:
    assert promotions(Scenario(rows=2000), 400, samples=500) <= 20


def test_with_a_true_gain_of_two_points_on_2000_rows_superior_usually_promotes() -> None:
    assert promotions(Scenario(rows=2000, gain=0.02), 100, samples=500) >= 65


@pytest.mark.slow
def test_the_whole_gate_keeps_its_error_rate_over_400_trials(config: ReleaseConfig) -> None:
    promoted = {0.0: 0, 0.02: 0}
    table = rows(2000)
    labels = np.array(LABELS)
    for gain in promoted:
        for trial in range(400):
            rng = np.random.default_rng([trial, 2])
            drawn = draw(Scenario(rows=2000, gain=gain), rng)
            truth = table.assign(label=labels[drawn.actual])
            found = verdict(
                config,
                truth,
                challenger=answers(truth, "c" * 64, drawn.challenger == drawn.actual, confidence=0.82),
                champion=answers(truth, "a" * 64, drawn.champion == drawn.actual, confidence=0.82),
                baselines={"majority": ["negative"] * 2000},
                rng=rng,
            )
            promoted[gain] += found.decision == "promote"
    assert promoted[0.0] <= 20
    assert promoted[0.02] >= 280


def test_the_careful_bound_lies_below_the_plain_percentile() -> None:
    resampled = np.random.default_rng(0).normal(0.02, 0.01, size=2000)
    assert conservative_lower_bound(0.02, resampled, 0.95) < np.quantile(resampled, 0.05)


def test_two_models_that_agree_everywhere_are_never_superior() -> None:
    actual = np.array([0, 1] * 50)
    found = duel(actual, actual, actual, 2, samples=200, confidence=0.95, rng=np.random.default_rng(0))
    assert found.lead == 0
    assert found.low < 0


def test_holm_names_what_stays_significant_among_many() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}, 0.05) == {"a": pytest.approx(0.03)}
    assert list(holm({"a": 0.001, "b": 0.002}, 0.05)) == ["a", "b"]
    assert holm({}, 0.05) == {}


def test_the_sign_test_counts_exactly() -> None:
    assert sign_test(0, 5) == pytest.approx(1 / 32)
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == 1
