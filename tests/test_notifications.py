"""Notifications: each event and each change of state once, at a real receiver, whatever is killed when."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atnet.config import Params
from atnet.errors import ConfigurationError, StoreError
from atnet.notifications import delivery, watch
from atnet.notifications.addresses import read_addresses
from atnet.notifications.alert import Alert, Condition, GrowingCounter, Observations
from atnet.notifications.changes import update_state
from atnet.notifications.schedule_source import observe_prefect, observe_schedules
from atnet.notifications.watch import Source, poll
from atnet.notifications.watch_state import WATCH_STATE, WatchState, read_watch_state, write_watch_state
from atnet.schedules.prefect_api import PrefectApi
from tests.receiver import Receiver, receiver

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ALERT = Alert("run 1", "failure", "training bold-otter failed", "One class only.")


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


def condition(active: bool, *, grace: float = 0.0, key: str = "disk") -> Condition:
    return Condition(key, active, "The disk is full", "Delete something.", "The disk has space again", grace)


def titles(state: WatchState, observed: Observations, seconds: float) -> list[str]:
    return [alert.title for alert in update_state(state, "source", observed, NOW + timedelta(seconds=seconds))]


# What is new


def test_what_happened_before_the_first_poll_is_not_notified() -> None:
    state = WatchState()
    assert titles(state, Observations(events=(ALERT,)), 0) == []
    later = Alert("run 2", "failure", "scoring calm-elk failed", "")
    assert titles(state, Observations(events=(ALERT, later)), 30) == ["scoring calm-elk failed"]
    assert titles(state, Observations(events=(ALERT, later)), 60) == []


def test_a_condition_is_notified_when_it_has_lasted_and_when_it_is_over() -> None:
    state = WatchState()
    on, off = (Observations(conditions=(condition(active, grace=60),)) for active in (True, False))
    assert titles(state, on, 0) == []
    assert titles(state, on, 59) == []
    assert titles(state, on, 61) == ["The disk is full"]
    assert titles(state, on, 90) == []
    assert titles(state, off, 120) == []
    assert titles(state, off, 181) == ["The disk has space again"]
    assert titles(state, off, 300) == []


def test_a_condition_that_is_over_within_its_grace_is_never_notified() -> None:
    state = WatchState()
    on, off = (Observations(conditions=(condition(active, grace=60),)) for active in (True, False))
    sequence = [(on, 0), (off, 30), (on, 60), (on, 90), (off, 110)]
    assert [titles(state, observed, second) for observed, second in sequence] == [[]] * 5


def test_a_condition_that_comes_and_goes_is_notified_once() -> None:
    state = WatchState()
    on, off = (Observations(conditions=(condition(active),)) for active in (True, False))
    sequence = [(on, 0), (off, 30), (on, 60), (off, 90), (on, 120)]
    assert [titles(state, observed, second) for observed, second in sequence] == [["The disk is full"], [], [], [], []]


def test_a_condition_that_a_source_no_longer_reports_is_over() -> None:
    state = WatchState()
    assert titles(state, Observations(conditions=(condition(True, key="late scoring"),)), 0) == ["The disk is full"]
    assert titles(state, Observations(), 10) == []
    assert titles(state, Observations(), 80) == ["The disk has space again"]


def test_a_counter_that_grows_is_notified_once_until_it_has_stopped() -> None:
    state = WatchState()

    def dropped(rows: float) -> Observations:
        return Observations(counters=(GrowingCounter(rows, condition(False, key="prediction log")),))

    assert titles(state, dropped(0), 0) == []
    assert titles(state, dropped(5), 30) == ["The disk is full"]
    assert titles(state, dropped(9), 60) == []
    assert titles(state, dropped(9), 800) == []
    assert titles(state, dropped(9), 870) == ["The disk has space again"]
    # The service was started again and drops rows again.
    assert titles(state, dropped(2), 900) == ["The disk is full"]


def test_no_secret_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2hunter2")
    state = WatchState(seen={"source": []})
    event = Alert("a", "failure", "x", "postgresql://ana:s3cret-word@db/x failed, password hunter2hunter2")
    (alert,) = update_state(state, "source", Observations(events=(event,)), NOW)
    assert "s3cret-word" not in alert.text
    assert "hunter2" not in alert.text


# Sending


def test_an_alert_arrives_once_and_not_again_after_a_restart(tmp_path: Path, phone: Receiver) -> None:
    addresses = read_addresses({"ATNET_NOTIFY": phone.address})
    state = WatchState(seen={"schedules": []})
    source = {"schedules": lambda: Observations(events=(ALERT,))}
    for _ in range(2):
        poll(state, source, tmp_path, addresses, NOW)
    poll(read_watch_state(tmp_path), source, tmp_path, addresses, NOW)
    (message,) = phone.received
    assert (message["title"], message["message"], message["type"]) == (ALERT.title, ALERT.text, "failure")


def test_what_a_receiver_rejects_is_sent_again_to_it_alone(tmp_path: Path) -> None:
    with receiver() as first, receiver() as second:
        addresses = read_addresses({"ATNET_NOTIFY": f"{first.address}, {second.address}"})
        state = WatchState(seen={"schedules": []})
        second.rejecting = True
        poll(state, {"schedules": lambda: Observations(events=(ALERT,))}, tmp_path, addresses, NOW)
        assert (len(first.received), len(second.received)) == (1, 0)
        second.rejecting = False
        poll(read_watch_state(tmp_path), {}, tmp_path, addresses, NOW)
        assert (len(first.received), len(second.received)) == (1, 1)


def test_without_an_address_alerts_go_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    addresses = read_addresses({})
    state = WatchState(seen={"schedules": []})
    with caplog.at_level(logging.INFO, logger="atnet"):
        for _ in range(2):
            poll(state, {"schedules": lambda: Observations(events=(ALERT,))}, tmp_path, addresses, NOW)
    assert caplog.messages == ["training bold-otter failed. One class only."]
    assert state.outbox == []


def test_an_unknown_address_is_reported_without_quoting_it() -> None:
    with pytest.raises(ConfigurationError, match=r"Address 2 of ATNET_NOTIFY") as error:
        read_addresses({"ATNET_NOTIFY": "json://127.0.0.1:1/ nosuchservice://t0ken-of-mine"})
    assert "t0ken" not in str(error.value)


def test_a_source_that_does_not_answer_neither_ends_nor_repeats_anything(tmp_path: Path, phone: Receiver) -> None:
    addresses = read_addresses({"ATNET_NOTIFY": phone.address})
    state = WatchState(seen={"schedules": []})
    working = Observations(events=(ALERT,), conditions=(condition(True),))

    def broken() -> Observations:
        raise StoreError("The server does not answer.")

    poll(state, {"schedules": lambda: working}, tmp_path, addresses, NOW)
    for minute in range(1, 5):
        poll(state, {"schedules": broken}, tmp_path, addresses, NOW + timedelta(minutes=minute))
    poll(state, {"schedules": lambda: working}, tmp_path, addresses, NOW + timedelta(minutes=9))
    assert phone.titles == [ALERT.title, "The disk is full"]


def test_one_problem_of_several_sources_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Observations:
        raise StoreError("The registry does not answer.")

    state, addresses = WatchState(), read_addresses({})
    caplog.set_level("INFO", "atnet")
    for minute in range(3):
        poll(state, {"releases": broken, "version": broken}, tmp_path, addresses, NOW + timedelta(minutes=minute))
    assert caplog.messages == ["Cannot be checked now (releases, version): The registry does not answer."]


def test_a_server_that_does_not_answer_is_reported_once_as_a_condition(
    tmp_path: Path, params: Params, caplog: pytest.LogCaptureFixture
) -> None:
    api, state, addresses = PrefectApi("http://127.0.0.1:9/api"), WatchState(), read_addresses({})
    caplog.set_level("INFO", "atnet")
    for minute in range(3):
        now = NOW + timedelta(minutes=minute)
        sources: dict[str, Source] = {
            "prefect": lambda: observe_prefect(api, params.operate),
            "schedules": lambda: observe_schedules(api, params.operate, NOW),
        }
        poll(state, sources, tmp_path, addresses, now)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("Prefect's server does not answer, so no schedule starts a run. The Prefect")


class Killed(BaseException):
    """Ends the process as a SIGKILL would: nothing catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("write", range(1, 8))
def test_a_kill_at_any_write_loses_nothing_and_repeats_nothing_unmarked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phone: Receiver, write: int, after: bool
) -> None:
    addresses = read_addresses({"ATNET_NOTIFY": phone.address})
    events = tuple(Alert(f"run {number}", "failure", f"run {number} failed", "") for number in range(2))
    sources = {"schedules": lambda: Observations(events=events)}
    write_watch_state(tmp_path, WatchState(seen={"schedules": []}))
    writes = 0

    def counted(root: Path, state: WatchState) -> None:
        nonlocal writes
        writes += 1
        if writes == write and not after:
            raise Killed
        write_watch_state(root, state)
        if writes == write:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(watch, "write_watch_state", counted)
        patch.setattr(delivery, "write_watch_state", counted)
        with pytest.raises(Killed):
            poll(read_watch_state(tmp_path), sources, tmp_path, addresses, NOW)
    for _ in range(2):
        poll(read_watch_state(tmp_path), sources, tmp_path, addresses, NOW + timedelta(minutes=1))
    assert set(phone.titles) == {"run 0 failed", "run 1 failed"}
    first = [message for message in phone.received if "repetition" not in message["message"]]
    titles = [message["title"] for message in first]
    assert len(titles) == len(set(titles)), "only what was being sent at the kill may come again, with a remark"


def test_a_damaged_state_file_starts_anew_without_old_events(tmp_path: Path, phone: Receiver) -> None:
    (tmp_path / WATCH_STATE).parent.mkdir()
    (tmp_path / WATCH_STATE).write_text('{"seen": ', encoding="utf-8")
    state = read_watch_state(tmp_path)
    poll(
        state,
        {"a": lambda: Observations(events=(ALERT,))},
        tmp_path,
        read_addresses({"ATNET_NOTIFY": phone.address}),
        NOW,
    )
    assert phone.received == []
    assert json.loads((tmp_path / WATCH_STATE).read_text())["seen"] == {"a": ["run 1"]}


def test_no_address_is_written_to_the_state(tmp_path: Path) -> None:
    with receiver() as closed:
        closed.rejecting = True
        addresses = read_addresses({"ATNET_NOTIFY": f"{closed.address}/very-secret-token"})
        state = WatchState(seen={"a": []})
        poll(state, {"a": lambda: Observations(events=(ALERT,))}, tmp_path, addresses, NOW)
    assert "very-secret-token" not in (tmp_path / WATCH_STATE).read_text()
    assert len(state.outbox) == 1
