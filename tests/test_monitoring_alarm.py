"""When drift is an alarm, how often that happens by chance, and who is told when."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from atnet.config import MonitorConfig, Params, PersistenceConfig
from atnet.monitoring.alarm import (
    HIGHEST_LEVEL,
    alarm_rate,
    findings,
    is_alarm,
    shared_reference_correlation,
    significance_level,
)
from atnet.monitoring.decision import Decision, History, WindowResult, decide, make_notification
from atnet.monitoring.null_distribution import PValues
from atnet.monitoring.records import Notification, Result, WindowRecord

NOW = datetime(2026, 11, 4, tzinfo=UTC)
TWO_OF_THREE = PersistenceConfig(windows=2, of=3)


@pytest.fixture
def config(params: Params) -> MonitorConfig:
    return params.monitor.model_copy(update={"cooldown_windows": 3, "retrain_rows": 100})


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


def test_the_level_falls_with_stricter_wishes_and_with_a_smaller_reference(params: Params) -> None:
    def level(rows: int = 100, reference_rows: int = 4000, **changes: object) -> float:
        return significance_level(params.monitor.model_copy(update=changes), rows=rows, reference_rows=reference_rows)

    assert level(false_alarms_per_year=0.5) < level()
    assert level(windows_per_year=365.0 * 24) < level()
    assert level(persistence=PersistenceConfig(windows=1, of=1)) == pytest.approx(2 / 365, rel=0.02)
    assert level(rows=1000, reference_rows=2000) < level(rows=1000, reference_rows=20000)
    assert level(windows_per_year=12.0) == HIGHEST_LEVEL


def test_only_what_is_significant_and_large_in_one_statistic_is_drift(params: Params) -> None:
    p = PValues(
        each={"classifier_auc": 0.001, "length_ks": 0.5, "unknown_words": 0.001},
        adjusted={"classifier_auc": 0.004, "length_ks": 0.9, "unknown_words": 0.004},
        overall=0.004,
    )
    effects = {"classifier_auc": 0.53, "length_ks": 0.3, "unknown_words": 0.02}
    found = {one.statistic: one for one in findings(effects, p, params.monitor.effects, 0.05)}
    assert found["classifier_auc"].significant
    assert not found["classifier_auc"].large
    assert found["length_ks"].large
    assert not found["length_ks"].significant
    assert [name for name, one in found.items() if one.drifted] == ["unknown_words"]


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


class Course:
    """Windows that are decided in turn, with what is told."""

    def __init__(self, config: MonitorConfig) -> None:
        self.config = config
        self.windows: list[WindowRecord] = []
        self.told: list[Notification] = []

    def window(self, result: Result, *, new_rows: int = 0, key: str | None = None) -> Decision:
        key = key or f"window-{len(self.windows)}"
        history = History(self.windows, self.told)
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
        known = [one.key for one in self.windows]
        if key in known:
            self.windows[known.index(key)] = record
        else:
            self.windows.append(record)
        if decision.notify:
            self.told.append(make_notification(decision, record, NOW))
        return decision

    def states(self, results: Sequence[Result]) -> list[str]:
        return [self.window(result).state for result in results]


def test_an_alarm_is_told_once_and_so_is_its_end(config: MonitorConfig) -> None:
    course = Course(config)
    results: list[Result] = ["no_drift", "drift", "drift", "drift", "no_drift", "no_drift", "no_drift"]
    assert course.states(results) == ["ok", "ok", "alarm", "alarm", "alarm", "ok", "ok"]
    assert [one.state for one in course.told] == ["alarm", "ok"]
    assert "atnet review" in course.told[0].message


def test_a_window_with_too_few_rows_says_nothing(config: MonitorConfig) -> None:
    course = Course(config)
    assert course.states(["drift", "too_few", "too_few", "too_few", "drift"])[-1] == "alarm"
    assert course.states(["too_few", "too_few", "too_few"]) == ["alarm"] * 3


def test_a_new_alarm_within_the_cool_down_is_told_when_it_is_over_and_the_alarm_lasts(config: MonitorConfig) -> None:
    course = Course(config)
    course.states(["drift", "drift", "no_drift", "no_drift"])
    assert [one.state for one in course.told] == ["alarm", "ok"]
    course.states(["drift", "drift"])
    assert course.windows[-1].state == "alarm"
    assert [one.state for one in course.told] == ["alarm", "ok", "alarm"]
    quick = Course(config.model_copy(update={"cooldown_windows": 6}))
    quick.states(["drift", "drift", "no_drift", "no_drift", "drift", "drift"])
    assert [one.state for one in quick.told] == ["alarm", "ok"]
    quick.states(["drift", "drift", "drift"])
    assert [one.state for one in quick.told] == ["alarm", "ok", "alarm"]


def test_a_window_monitored_again_keeps_its_place_and_tells_nothing_twice(config: MonitorConfig) -> None:
    course = Course(config)
    course.states(["drift", "drift"])
    again = course.window("drift", key="window-1")
    assert again.state == "alarm"
    assert len({one.id for one in course.told}) == 1
    assert course.window("no_drift", key="window-0").state == "ok"
    assert len(course.windows) == 2


def test_enough_new_labels_turn_label_into_retrain_and_that_is_told(config: MonitorConfig) -> None:
    course = Course(config)
    course.states(["drift", "drift"])
    assert course.window("drift", new_rows=99).action == "label"
    assert course.window("drift", new_rows=100).action == "retrain"
    course.window("drift", new_rows=120)
    assert [(one.state, one.action) for one in course.told] == [("alarm", "label"), ("alarm", "retrain")]
    assert "train again" in course.told[1].message


def test_without_an_alarm_nothing_is_to_be_done_however_many_labels_there_are(config: MonitorConfig) -> None:
    assert Course(config).window("drift", new_rows=10_000).action == "none"
