"""Models of the default data: trained by the pipeline, released with real servers, rolled back, traced."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.defaultdata import DefaultData, add_default_data
from tests.projects import copy_project
from tests.releasestory import ReleaseStory, release_servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SHORT_WAIT = 20 / 3600
"""Hours until the approval deadline where nobody answers: 20 s."""


class DefaultDataStory(ReleaseStory):
    """A project with its servers and the default data."""

    data: DefaultData

    def train(self) -> None:
        """Run the stages and commit their outputs."""
        start = time.perf_counter()
        self.project.run("dvc", "repro", **self.servers)
        self.project.commit()
        print(f"training took {time.perf_counter() - start:.0f} s")

    def release(self, *options: str) -> tuple[int, str]:
        """Release and return the exit code and the output."""
        start = time.perf_counter()
        done = self.atnet("release", *options)
        print(f"release took {time.perf_counter() - start:.0f} s: {done.stdout}")
        return done.returncode, done.stdout

    def gate(self, number: int) -> dict[str, Any]:
        """Read the gate's result for a version."""
        result: dict[str, Any] = self.project.json(f".atnet/releases/version-{number}/gate.json")
        for check in result["checks"]:
            print(f"version {number}, {check['status']}: {check['name']}: {check['observed']}")
        return result


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefaultDataStory]:
    project = copy_project(tmp_path_factory.mktemp("default"))
    data = add_default_data(project)
    with release_servers(project, DefaultDataStory) as story:
        story.data = data
        yield story


# The tests of this file depend on each other and run in this order.


def test_the_first_model_passes_and_is_champion(story: DefaultDataStory) -> None:
    # The default settings, before film reviews were labeled; the baselines that it must beat were trained without too.
    story.data.use_reduced()
    story.train()
    code, printed = story.release()
    assert code == 0, printed
    assert story.aliases() == {"champion": 1}
    statuses = {check["name"]: check["status"] for check in story.gate(1)["checks"]}
    run = {name: status for name, status in statuses.items() if status != "skipped"}
    assert set(statuses) - set(run) == {"champion", "McNemar", "slices", "latency"}
    assert set(run.values()) == {"passed"}


def test_a_model_trained_on_shuffled_labels_is_rejected_with_all_reasons(story: DefaultDataStory) -> None:
    story.data.use_reduced(shuffled=True)
    story.train()
    code, printed = story.release()
    assert code == 3, printed
    failed = {check["name"] for check in story.gate(2)["checks"] if check["status"] == "failed"}
    assert failed >= {
        *("champion", "minimum accuracy", "minimum macro-F1", "baseline", "slices"),
        *("behavior: MFT", "behavior: DIR"),
    }
    assert all(f"  failed   {name}: " in printed and f"{name}: " in story.tags(2)["gate.reasons"] for name in failed)
    assert story.tags(2)["release.state"] == "rejected"
    assert story.aliases() == {"champion": 1}


def test_a_better_model_is_promoted_and_rolled_back(story: DefaultDataStory) -> None:
    story.data.use_all()
    story.train()
    code, printed = story.release()
    assert code == 0, printed
    assert story.aliases() == {"champion": 3, "previous": 1}
    assert story.gate(3)["rows_compared"] > 1900, "both are judged on the same test rows"
    card = story.client.get_model_version("atnet", "3").description
    assert "## Limits" in card

    start = time.perf_counter()
    printed = story.atnet("rollback", "--reason", "too many complaints").stdout
    print(f"rollback took {time.perf_counter() - start:.1f} s, start of Python included")
    assert "rollback: version 1 is champion again, replacing version 3." in printed
    assert story.aliases() == {"champion": 1}
    assert story.release()[0] == 3, "a version that was rolled back is not promoted again automatically"


def test_users_approve_and_reject_on_the_command_line(story: DefaultDataStory) -> None:
    story.set_release(approval="manual")
    for command, expected in (("reject", {"champion": 1}), ("approve", {"champion": 3, "previous": 1})):
        code, printed = story.release("--again")
        assert code == 4, printed
        assert story.tags(3)["release.state"] == "pending_approval"
        assert story.aliases() == {"champion": 1, "challenger": 3}
        story.atnet(command, "3", "--reason", f"to {command} it")
        assert story.aliases() == expected
    assert "rollback: version 1 is champion again" in story.atnet("rollback").stdout


def test_users_reject_and_approve_in_prefect(story: DefaultDataStory) -> None:
    with story.deployments():
        for approve, expected in ((False, {"champion": 1}), (True, {"champion": 3, "previous": 1})):
            run = story.start_release(again=True)
            assert story.wait_for(run, "PAUSED")["state_name"] == "Suspended", story.flow_run(run)["state"]
            assert story.aliases() == {"champion": 1, "challenger": 3}
            story.answer(run, approve=approve, reason="seen", user="ana")
            assert story.wait_for(run)["state_name"] == "Decided", story.flow_run(run)["state"]
            assert story.aliases() == expected
            assert story.tags(3)["release.user"] == "ana in Prefect"
        story.atnet("rollback")


def test_a_version_that_nobody_approves_in_prefect_is_rejected(story: DefaultDataStory) -> None:
    story.set_release(approval_timeout_hours=SHORT_WAIT)
    with story.deployments():
        run = story.start_release(again=True)
        assert story.wait_for(run, "PAUSED")["state_name"] == "Suspended", story.flow_run(run)["state"]
        ended = story.wait_for(run)
        assert ended["state_type"] == "FAILED"
        assert ended["state"]["message"] == "The flow was paused and never resumed."
        story.answer(run, approve=True, user="too late")
        assert story.flow_run(run)["state_type"] == "FAILED"
    done = story.atnet("approve", "3")
    assert done.returncode == 1
    assert "ersion 3 is rejected: not approved before" in done.stdout
    assert story.aliases() == {"champion": 1}
    assert story.tags(3)["release.user"] == "approval timeout"


def test_the_lineage_goes_from_data_and_text_to_the_live_version(story: DefaultDataStory) -> None:
    story.set_release(approval="automatic")
    assert story.release("--again")[0] == 0
    md5 = hashlib.md5((story.root / story.data.path).read_bytes()).hexdigest()
    assert f"{story.data.path} {md5[:8]}" in story.atnet("lineage", "champion").stdout
    printed = story.atnet("lineage", md5).stdout
    assert "version 3: promoted, alias champion" in printed
    assert "version 1:" not in printed
    texts = story.data.rows["text"]
    printed = story.atnet("lineage", "--text", texts[story.data.reduced_train_ids[0]]).stdout
    assert "3 of 3 versions were trained on it" in printed
    removed = next(row for row in story.data.split_ids["train"] if row not in story.data.reduced_train_ids)
    printed = story.atnet("lineage", "--text", texts[removed]).stdout
    assert "1 of 3 versions were trained on it" in printed


def test_the_ledger_has_the_whole_history_and_shows_a_changed_line(story: DefaultDataStory) -> None:
    assert story.history() == [
        *("promoted", "rejected", "promoted", "rolled_back"),
        *("pending_approval", "rejected", "pending_approval", "promoted", "rolled_back"),
        *("pending_approval", "rejected", "pending_approval", "promoted", "rolled_back"),
        *("pending_approval", "rejected", "promoted"),
    ]
    assert "17 lines, an unbroken chain" in story.atnet("history", "--verify").stdout
    restore = story.tamper(6, "to reject it", "to keep it")
    done = story.atnet("history", "--verify")
    assert done.returncode == 1
    assert "fault: line 6 has been changed: it does not match its own hash" in done.stdout
    restore()
    assert story.atnet("history", "--verify").returncode == 0
    copy = (story.root / ".atnet" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["number"] for line in copy] == list(range(1, 18))
