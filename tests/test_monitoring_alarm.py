"""When drift is an alarm, how often that happens by chance, and when it is notified."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from atnet.config import MonitorConfig, Params, PersistenceConfig
from atnet.monitoring.alarm import (
    MAX_LEVEL,
    alarm_rate,
    is_alarm,
    shared_reference_correlation,
    significance_level,
    statistic_results,
)
from atnet.monitoring.decision import AlarmDecision, ModelHistory, WindowResult, decide, make_notification
from atnet.monitoring.notifications import Notification
from atnet.monitoring.null_distribution import PValues
from atnet.monitoring.window_records import DriftResult, WindowRecord

NOW = datetime(2026, 11, 4, tzinfo=UTC)
TWO_OF_THREE = PersistenceConfig(windows=2, of=3)


@pytest.fixture
def config(params: Params) -> MonitorConfig:
    return params.monitor.model_copy(update={"cooldown_windows": 3, "min_new_rows": 100})


def simulated_rate(level: float, correlation: float, persistence: PersistenceConfig, years: int) -> float:
    """Count the alarms that begin per window, over courses that share a reference each."""
    rng = np.random.default_rng(11)
    threshold = np.quantile(rng.normal(size=2_000_000), 1 - level)
    shared = rng.normal(size=(years, 1))
    scores = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=(years, 400))
    positive = scores > threshold
    states = np.stack(
        [
            positive[:, max(0, end - persistence.of + 1) : end + 1].sum(axis=1) >= persistence.windows
            for end in range(400)
        ]
    )
    began = states[1:] & ~states[:-1]
    return float(began[persistence.of :].mean())


@pytest.mark.parametrize(
    ("level", "correlation", "windows", "among"),
    [(0.05, 0.0, 2, 3), (0.05, 0.2, 2, 3), (0.02, 0.0, 1, 1), (0.1, 0.1, 3, 5)],
)
def test_the_rate_of_false_alarms_is_that_of_a_simulation(
    level: float, correlation: float, windows: int, among: int
) -> None:
    persistence = PersistenceConfig(windows=windows, of=among)
    simulated = simulated_rate(level, correlation, persistence, years=3000)
    assert alarm_rate(level, persistence, correlation) == pytest.approx(simulated, rel=0.06)


def test_the_level_gives_the_allowed_false_alarms_a_year(params: Params) -> None:
    config = params.monitor
    level = significance_level(config, rows=100, reference_rows=4000)
    correlation = shared_reference_correlation(100, 4000)
    assert 365 * alarm_rate(level, config.persistence, correlation) == pytest.approx(2)
    assert 0.04 < level < 0.06


def test_the_level_decreases_with_fewer_allowed_alarms_and_with_a_smaller_reference(params: Params) -> None:
    def level(rows: int = 100, reference_rows: int = 4000, **changes: object) -> float:
        return significance_level(params.monitor.model_copy(update=changes), rows=rows, reference_rows=reference_rows)

    assert level(false_alarms_per_year=0.5) < level()
    assert level(windows_per_year=365.0 * 24) < level()
    assert level(persistence=PersistenceConfig(windows=1, of=1)) == pytest.approx(2 / 365, rel=0.02)
    assert level(rows=1000, reference_rows=2000) < level(rows=1000, reference_rows=20000)
    assert level(windows_per_year=12.0) == MAX_LEVEL


def test_only_a_statistic_that_is_significant_and_large_is_drift(params: Params) -> None:
    p = PValues(
        each={"classifier_auc": 0.001, "length_ks": 0.5, "unknown_words": 0.001},
        combined=0.01,
        overall=0.004,
    )
    effects = {"classifier_auc": 0.53, "length_ks": 0.3, "unknown_words": 0.02}
    results = statistic_results(effects, p, params.monitor.min_effects, 0.05)
    by_name = {result.statistic: result for result in results}
    assert by_name["classifier_auc"].significant
    assert not by_name["classifier_auc"].is_large
    assert by_name["length_ks"].is_large
    assert not by_name["length_ks"].significant
    assert [result.statistic for result in results if result.drifted] == ["unknown_words"]


def test_without_an_overall_difference_no_statistic_is_significant(params: Params) -> None:
    p = PValues(each={"unknown_words": 0.04}, combined=0.3, overall=0.12)
    (result,) = statistic_results({"unknown_words": 0.02}, p, params.monitor.min_effects, 0.05)
    assert not result.significant


@pytest.mark.parametrize(
    ("drifted", "expected"),
    [
        ([], False),
        ([True], False),
        ([True, False, True], True),
        ([True, True, False], True),
        ([True, False, False, True], False),
        ([True, True, False, False], False),
    ],
)
def test_two_of_the_last_three_windows_make_an_alarm(drifted: list[bool], expected: bool) -> None:
    assert is_alarm(drifted, TWO_OF_THREE) is expected


class WindowSequence:
    """Windows that are decided one after the other, and the notifications."""

    def __init__(self, config: MonitorConfig) -> None:
        self.config = config
        self.windows: list[WindowRecord] = []
        self.notifications: list[Notification] = []

    def window(self, result: DriftResult, *, new_rows: int = 0, key: str | None = None) -> AlarmDecision:
        key = key or f"window-{len(self.windows)}"
        history = ModelHistory(self.windows, self.notifications)
        decision = decide(WindowResult(key, key, result), history, new_rows, self.config)
        record = WindowRecord(
            key=key,
            name=key,
            source="predictions",
            recorded_at=NOW.isoformat(),
            model_version=3,
            model_sha256="a" * 64,
            result=result,
            state=decision.state,
            action=decision.action,
            rows=100,
            compared=100,
        )
        known = [window.key for window in self.windows]
        if key in known:
            self.windows[known.index(key)] = record
        else:
            self.windows.append(record)
        if decision.notify:
            self.notifications.append(make_notification(decision, record, NOW))
        return decision

    def notified(self) -> list[str]:
        return [notification.state for notification in self.notifications]

    def states(self, results: Sequence[DriftResult]) -> list[str]:
        return [self.window(result).state for result in results]


def test_an_alarm_is_notified_once_and_so_is_its_end(config: MonitorConfig) -> None:
    sequence = WindowSequence(config)
    results: list[DriftResult] = ["no_drift", "drift", "drift", "drift", "no_drift", "no_drift", "no_drift"]
    assert sequence.states(results) == ["ok", "ok", "alarm", "alarm", "alarm", "ok", "ok"]
    assert sequence.notified() == ["alarm", "ok"]
    assert "atnet review" in sequence.notifications[0].message


def test_a_window_with_too_few_rows_is_skipped(config: MonitorConfig) -> None:
    sequence = WindowSequence(config)
    assert sequence.states(["drift", "too_few", "too_few", "too_few", "drift"])[-1] == "alarm"
    assert sequence.states(["too_few", "too_few", "too_few"]) == ["alarm"] * 3


def test_a_new_alarm_within_the_cooldown_is_notified_after_it_if_the_alarm_lasts(config: MonitorConfig) -> None:
    sequence = WindowSequence(config)
    sequence.states(["drift", "drift", "no_drift", "no_drift"])
    assert sequence.notified() == ["alarm", "ok"]
    sequence.states(["drift", "drift"])
    assert sequence.windows[-1].state == "alarm"
    assert sequence.notified() == ["alarm", "ok", "alarm"]
    longer = WindowSequence(config.model_copy(update={"cooldown_windows": 6}))
    longer.states(["drift", "drift", "no_drift", "no_drift", "drift", "drift"])
    assert longer.notified() == ["alarm", "ok"]
    longer.states(["drift", "drift", "drift"])
    assert longer.notified() == ["alarm", "ok", "alarm"]


def test_a_window_that_is_monitored_again_keeps_its_position_and_is_not_notified_twice(config: MonitorConfig) -> None:
    sequence = WindowSequence(config)
    sequence.states(["drift", "drift"])
    again = sequence.window("drift", key="window-1")
    assert again.state == "alarm"
    assert len({notification.id for notification in sequence.notifications}) == 1
    assert sequence.window("no_drift", key="window-0").state == "ok"
    assert len(sequence.windows) == 2


def test_enough_new_labels_change_the_action_to_retrain_with_a_notification(config: MonitorConfig) -> None:
    sequence = WindowSequence(config)
    sequence.states(["drift", "drift"])
    assert sequence.window("drift", new_rows=99).action == "label"
    assert sequence.window("drift", new_rows=100).action == "retrain"
    sequence.window("drift", new_rows=120)
    assert [(sent.state, sent.action) for sent in sequence.notifications] == [("alarm", "label"), ("alarm", "retrain")]
    assert "retrain (deployment `training`" in sequence.notifications[1].message


def test_without_an_alarm_there_is_nothing_to_do_however_many_labels_there_are(config: MonitorConfig) -> None:
    assert WindowSequence(config).window("drift", new_rows=10_000).action == "none"
