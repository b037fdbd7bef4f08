"""Versions, aliases, locks and transactions in a real SQLite store."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filelock
import pytest

from atnet.config import Params
from atnet.errors import ReleaseError
from atnet.registry import lock, transactions, versions
from atnet.registry.artifacts import download_train_hashes
from atnet.registry.ledger import LedgerEvent, entries, find_faults
from atnet.registry.ledger_store import append, local_lines, read_ledger
from atnet.registry.lock import LOCK_TAG, registry_lock
from atnet.registry.transactions import PENDING_TAG, AliasTransaction, commit, recover_pending
from atnet.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, Registry, aliases, open_registry
from tests.killing import Killed
from tests.registered import log_model, registered, sha


@pytest.fixture
def registry(tmp_path: Path, params: Params, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    registry = open_registry(params.tracking, tmp_path)
    versions.ensure_registered_model(registry)
    return registry


def _killed(*_: object, **__: object) -> None:
    raise Killed


def _promotion(number: int, before: int | None = None) -> AliasTransaction:
    moved: dict[str, int | None] = {CHAMPION: number, PREVIOUS: before, CHALLENGER: None}
    event = LedgerEvent(
        id=f"promotion of {number}",
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        user="ana@laptop",
        action="promoted",
        version=number,
        champion_before=before,
        champion_after=number,
        reason="better",
        gate_sha256="",
    )
    return AliasTransaction(event, moved, {number: {"release.state": "promoted"}})


# Versions


def test_a_model_gets_one_version_however_often_it_is_registered(registry: Registry) -> None:
    first = registered(registry, "one")
    again = versions.register(registry, sha("one"))
    other = registered(registry, "two")
    assert (first.number, again.number, other.number) == (1, 1, 2)
    assert [version.sha256 for version in versions.versions(registry)] == [sha("one"), sha("two")]
    logged = registry.store.client.get_logged_model(first.model_id)
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "atnet", "version": "1"}]


def test_a_version_has_the_files_of_its_model(registry: Registry) -> None:
    log_model(registry, "one", train_hashes="aaaaaaaaaaaaaaaa\nbbbbbbbbbbbbbbbb\n")
    version = versions.register(registry, sha("one"))
    hashes = download_train_hashes(registry, version)
    assert len(hashes) == 2
    assert hashes.contains(["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"]).tolist() == [True, True, False]


def test_a_model_that_was_never_published_is_refused(registry: Registry) -> None:
    with pytest.raises(ReleaseError, match="atnet publish"):
        versions.register(registry, sha("one"))
    assert versions.versions(registry) == []


def test_a_model_whose_upload_was_interrupted_becomes_no_version(registry: Registry) -> None:
    log_model(registry, "one", complete=False)
    with pytest.raises(ReleaseError, match="not been published completely"):
        versions.register(registry, sha("one"))
    assert versions.versions(registry) == []


def test_a_version_under_an_alias_cannot_be_deleted(registry: Registry) -> None:
    number = registered(registry, "one").number
    versions.set_alias(registry, CHAMPION, number)
    with pytest.raises(ReleaseError, match="is champion and cannot be deleted"):
        versions.delete(registry, number)
    assert aliases(registry) == {CHAMPION: 1}


def test_a_deleted_version_is_gone_and_another_model_gets_its_own_version(registry: Registry) -> None:
    versions.delete(registry, registered(registry, "one").number)
    registered(registry, "two")
    assert versions.versions(registry)[-1].number >= 1
    assert [version.sha256 for version in versions.versions(registry)] == [sha("two")]


def test_an_unknown_version_is_refused_with_the_existing_ones(registry: Registry) -> None:
    registered(registry, "one")
    with pytest.raises(ReleaseError, match=r"no version 7\. Existing versions: 1"):
        versions.version(registry, 7)


def test_before_the_first_release_there_is_nothing_to_read_or_move(registry: Registry) -> None:
    registry = replace(registry, model="other")
    assert aliases(registry) == {}
    assert versions.model_tags(registry) == {}
    assert entries(read_ledger(registry)) == []
    with pytest.raises(ReleaseError, match="has no released version yet"), registry_lock(registry):
        pass


def test_a_registry_address_in_the_environment_is_ignored(
    registry: Registry, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(registry, "one")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path}/other.db")
    reopened = open_registry(params.tracking, tmp_path)
    assert [version.number for version in versions.versions(reopened)] == [1]
    assert not (tmp_path / "other.db").exists()


# Transactions


def test_a_transaction_changes_aliases_and_tags_and_is_in_the_ledger(registry: Registry) -> None:
    registered(registry, "one")
    registered(registry, "two")
    commit(registry, _promotion(1))
    commit(registry, _promotion(2, before=1))
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert versions.version(registry, 2).state == "promoted"
    assert [entry.event.champion_after for entry in entries(read_ledger(registry))] == [1, 2]
    assert find_faults(read_ledger(registry), local_lines(registry)) == []
    assert len(local_lines(registry)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("step", ["set_alias", "append", "set_tags", "set_model_tag"])
def test_a_killed_transaction_is_finished_by_the_next_command(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    registered(registry, "one")
    registered(registry, "two")
    commit(registry, _promotion(1))
    successful_calls = 1 if step in ("set_alias", "set_model_tag") else 0
    real = getattr(transactions, step)

    def killed_later(*args: Any, **kwargs: Any) -> Any:
        nonlocal successful_calls
        if not successful_calls:
            raise Killed
        successful_calls -= 1
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transactions, step, killed_later)
        with pytest.raises(Killed):
            commit(registry, _promotion(2, before=1))
    assert aliases(registry)[CHAMPION] in (1, 2)
    finished = recover_pending(registry)
    assert finished is not None
    assert finished.version == 2
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert len(entries(read_ledger(registry))) == 2
    assert find_faults(read_ledger(registry), local_lines(registry)) == []
    assert recover_pending(registry) is None


def test_a_champion_that_users_moved_after_a_kill_stays_where_it_is(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        registered(registry, name)
    commit(registry, _promotion(1))
    with monkeypatch.context() as patch:
        patch.setattr(transactions, "append", _killed)
        with pytest.raises(Killed):
            commit(registry, _promotion(2, before=1))
    versions.set_alias(registry, CHAMPION, 3)
    recover_pending(registry)
    assert aliases(registry)[CHAMPION] == 3
    last = entries(read_ledger(registry))[-1].event
    assert last.action == "promoted (abandoned)"
    assert "moved outside of atnet to 3" in last.reason
    assert PENDING_TAG not in versions.model_tags(registry)


def test_an_event_that_is_appended_twice_is_one_line(registry: Registry) -> None:
    registered(registry, "one")
    event = _promotion(1).event
    append(registry, event)
    append(registry, event)
    assert len(read_ledger(registry).lines) == 1


def test_a_kill_between_the_line_and_the_head_is_repaired(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(registry, "one")
    event = _promotion(1).event
    with monkeypatch.context() as patch:
        patch.setattr("atnet.registry.ledger_store.set_model_tag", _killed)
        with pytest.raises(Killed):
            append(registry, event)
    append(registry, event)
    assert find_faults(read_ledger(registry)) == []


def test_a_changed_line_is_not_overwritten(registry: Registry) -> None:
    registered(registry, "one")
    append(registry, _promotion(1).event)
    (run,) = registry.store.client.search_runs(
        [registry.store.client.get_experiment_by_name("atnet-operations").experiment_id]
    )
    line = run.data.tags["ledger.000001"].replace("ana", "eve")
    registry.store.client.set_tag(run.info.run_id, "ledger.000001", line)
    append(registry, _promotion(1).event)
    faults = find_faults(read_ledger(registry), local_lines(registry))
    assert "line 1 has been changed: it does not match its own hash" in faults
    assert "line 1 differs from the local copy" in faults
    assert read_ledger(registry).lines[1] == line
    assert len(read_ledger(registry).lines) == 2


# Locks


def test_a_second_command_waits_and_is_then_refused_with_the_reason(registry: Registry) -> None:
    path = f"{registry.store.uri.removeprefix('sqlite:///')}.atnet.lock"
    with (
        filelock.FileLock(path),
        pytest.raises(ReleaseError, match="Another command is moving aliases of atnet"),
        registry_lock(registry, wait_seconds=0.1),
    ):
        pass
    with registry_lock(registry, wait_seconds=0.1):
        pass


@pytest.fixture
def as_server(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Lock with a tag, as in a store that several machines share."""
    monkeypatch.setattr(lock, "SQLITE", "not this one")
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.01)
    # On a busy machine a write is slow.
    monkeypatch.setattr(lock, "HOLD_SECONDS", 0.5)
    registered(registry, "one")
    return registry


def test_a_slow_write_of_the_lock_waits_for_whoever_it_may_have_replaced(
    as_server: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(lock.time, "sleep", waited.append)
    monkeypatch.setattr(lock, "WRITE_SECONDS", 10.0)
    with registry_lock(as_server, wait_seconds=0.1):
        pass
    monkeypatch.setattr(lock, "WRITE_SECONDS", 0.0)
    with registry_lock(as_server, wait_seconds=0.1):
        pass
    assert waited == [0.01, lock.HOLD_SECONDS]


def test_the_lock_of_a_shared_store_is_a_tag_that_names_its_holder(as_server: Registry) -> None:
    with registry_lock(as_server, wait_seconds=0.1):
        holder = json.loads(versions.model_tags(as_server)[LOCK_TAG])
        assert holder["user"] == lock.this_user()
        with (
            pytest.raises(ReleaseError, match="is moving aliases of atnet"),
            registry_lock(as_server, wait_seconds=0.1),
        ):
            pass
    assert LOCK_TAG not in versions.model_tags(as_server)


@pytest.mark.slow
def test_two_commands_at_once_on_a_shared_store_take_turns(
    as_server: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 1.0)
    steps: list[str] = []

    def command(name: str) -> None:
        with registry_lock(as_server, wait_seconds=60):
            steps.append(name)
            time.sleep(0.1)
            steps.append(name)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(command, ("first", "second")))
    assert len(steps) == 4
    assert steps[0] == steps[1]
    assert steps[2] == steps[3]
    assert LOCK_TAG not in versions.model_tags(as_server)


def test_a_lock_left_by_a_killed_process_expires(as_server: Registry) -> None:
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    versions.set_model_tag(as_server, LOCK_TAG, json.dumps({"user": "eve", "since": long_ago, "id": "x"}))
    with registry_lock(as_server, wait_seconds=0.1):
        assert lock.this_user() in versions.model_tags(as_server)[LOCK_TAG]


def test_the_process_that_writes_last_has_the_lock_and_the_other_waits(
    as_server: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = json.dumps({"user": "bob@server", "since": datetime.now(UTC).isoformat(), "id": "x"})
    # While this process waits for the tag to settle, another one that read it as free writes its own.
    monkeypatch.setattr(lock.time, "sleep", lambda _: versions.set_model_tag(as_server, LOCK_TAG, other))
    with pytest.raises(ReleaseError, match="bob@server is moving"), registry_lock(as_server, wait_seconds=0.2):
        pass
    assert versions.model_tags(as_server)[LOCK_TAG] == other
