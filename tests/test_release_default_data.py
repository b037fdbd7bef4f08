"""The story of the default data: models trained by the pipeline, released on real servers, taken back, looked up."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.defaultdata import DefaultData, bring_default_data
from tests.projects import copy_project
from tests.releasestory import Story, told_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SHORT_WAIT = 20 / 3600
"""Hours that a person is given where nobody answers: 20 s."""


class DefaultStory(Story):
    """A story with the default data."""

    data: DefaultData

    def train(self) -> None:
        """Run the stages, and commit what they made."""
        start = time.perf_counter()
        self.project.run("dvc", "repro", **self.servers)
        self.project.commit()
        print(f"training took {time.perf_counter() - start:.0f} s")

    def release(self, *options: str) -> tuple[int, str]:
        """Release; give the exit code and what was said."""
        start = time.perf_counter()
        done = self.atnet("release", *options)
        print(f"release took {time.perf_counter() - start:.0f} s: {done.stdout}")
        return done.returncode, done.stdout

    def verdict(self, number: int) -> dict[str, Any]:
        """Read the gate's verdict on a version."""
        verdict: dict[str, Any] = self.project.json(f".atnet/releases/version-{number}/gate.json")
        for check in verdict["checks"]:
            print(f"version {number}, {check['outcome']}: {check['name']}: {check['observed']}")
        return verdict


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefaultStory]:
    project = copy_project(tmp_path_factory.mktemp("default"))
    data = bring_default_data(project)
    with told_on(project, DefaultStory) as story:
        story.data = data
        yield story


# The tests of this file are one story and run in this order.


def test_the_first_model_passes_and_is_champion(story: DefaultStory) -> None:
    # The default recipe, before film reviews were labeled; the baselines that it must beat have seen none either.
    story.data.use_poorer()
    story.train()
    code, told = story.release()
    assert code == 0, told
    assert story.aliases() == {"champion": 1}
    found = {check["name"]: check["outcome"] for check in story.verdict(1)["checks"]}
    asked = {name: outcome for name, outcome in found.items() if outcome != "not checked"}
    assert set(found) - set(asked) == {"champion", "McNemar", "slices", "latency"}
    assert set(asked.values()) == {"passed"}


def test_one_of_shuffled_labels_is_rejected_with_all_reasons_named(story: DefaultStory) -> None:
    story.data.use_poorer(shuffled=True)
    story.train()
    code, told = story.release()
    assert code == 3, told
    failed = {check["name"] for check in story.verdict(2)["checks"] if check["outcome"] == "failed"}
    assert failed >= {
        *("champion", "minimum accuracy", "minimum macro-F1", "baseline", "slices"),
        *("behavior: minimum", "behavior: direction"),
    }
    assert all(f"  failed   {name}: " in told and f"{name}: " in story.tags(2)["gate.reasons"] for name in failed)
    assert story.tags(2)["release.state"] == "rejected"
    assert story.aliases() == {"champion": 1}


def test_a_really_better_one_is_promoted_and_taken_back(story: DefaultStory) -> None:
    story.data.use_all()
    story.train()
    code, told = story.release()
    assert code == 0, told
    assert story.aliases() == {"champion": 3, "previous": 1}
    assert story.verdict(3)["rows_compared"] > 1900, "both are judged on the same test rows"
    card = story.client.get_model_version("atnet", "3").description
    assert "## Limits" in card

    start = time.perf_counter()
    told = story.atnet("rollback", "--why", "too many complaints").stdout
    print(f"rollback took {time.perf_counter() - start:.1f} s, start of Python included")
    assert "rollback: version 1 is champion again instead of version 3." in told
    assert story.aliases() == {"champion": 1}
    assert story.release()[0] == 3, "what people have taken back does not return by itself"


def test_people_approve_and_reject_on_the_command_line(story: DefaultStory) -> None:
    story.set_release(approval="manual")
    for decide, held in (("reject", {"champion": 1}), ("approve", {"champion": 3, "previous": 1})):
        code, told = story.release("--again")
        assert code == 4, told
        assert story.tags(3)["release.state"] == "waiting"
        assert story.aliases() == {"champion": 1, "challenger": 3}
        story.atnet(decide, "3", "--why", f"to {decide} it")
        assert story.aliases() == held
    assert "rollback: version 1 is champion again" in story.atnet("rollback").stdout


def test_people_reject_and_approve_in_prefect(story: DefaultStory) -> None:
    with story.deployments():
        for yes, held in ((False, {"champion": 1}), (True, {"champion": 3, "previous": 1})):
            run = story.start_release(again=True)
            assert story.wait_for(run, "PAUSED")["state_name"] == "Suspended", story.flow_run(run)["state"]
            assert story.aliases() == {"champion": 1, "challenger": 3}
            story.answer(run, approve=yes, why="seen", who="ana")
            assert story.wait_for(run)["state_name"] == "Decided", story.flow_run(run)["state"]
            assert story.aliases() == held
            assert story.tags(3)["release.by"] == "ana in Prefect"
        story.atnet("rollback")


def test_no_answer_in_prefect_is_a_no(story: DefaultStory) -> None:
    story.set_release(approval_timeout_hours=SHORT_WAIT)
    with story.deployments():
        run = story.start_release(again=True)
        assert story.wait_for(run, "PAUSED")["state_name"] == "Suspended", story.flow_run(run)["state"]
        ended = story.wait_for(run)
        assert ended["state_type"] == "FAILED"
        assert ended["state"]["message"] == "The flow was paused and never resumed."
        story.answer(run, approve=True, who="too late")
        assert story.flow_run(run)["state_type"] == "FAILED"
    told = story.atnet("approve", "3")
    assert told.returncode == 1
    assert "version 3 is rejected: nobody approved it before" in told.stdout
    assert story.aliases() == {"champion": 1}
    assert story.tags(3)["release.by"] == "time limit"


def test_the_lineage_goes_from_data_and_text_to_the_live_version(story: DefaultStory) -> None:
    story.set_release(approval="automatic")
    assert story.release("--again")[0] == 0
    md5 = hashlib.md5((story.root / story.data.path).read_bytes()).hexdigest()
    assert f"{story.data.path} {md5[:8]}" in story.atnet("lineage", "champion").stdout
    told = story.atnet("lineage", md5).stdout
    assert "version 3: promoted, alias champion" in told
    assert "version 1:" not in told
    texts = story.data.rows["text"]
    told = story.atnet("lineage", "--text", texts[story.data.few[0]]).stdout
    assert "3 of 3 versions were trained on it" in told
    told = story.atnet(
        "lineage", "--text", texts[next(one for one in story.data.sides["train"] if one not in story.data.few)]
    ).stdout
    assert "1 of 3 versions were trained on it" in told


def test_the_ledger_tells_the_story_and_catches_a_tampered_line(story: DefaultStory) -> None:
    assert story.history() == [
        *("promoted", "rejected", "promoted", "rolled back"),
        *("waiting", "rejected", "waiting", "promoted", "rolled back"),
        *("waiting", "rejected", "waiting", "promoted", "rolled back"),
        *("waiting", "rejected", "promoted"),
    ]
    assert "17 lines, an unbroken chain" in story.atnet("history", "--verify").stdout
    put_back = story.tamper(6, "to reject it", "to keep it")
    done = story.atnet("history", "--verify")
    assert done.returncode == 1
    assert "fault: line 6 has been changed: it does not match its own hash" in done.stdout
    put_back()
    assert story.atnet("history", "--verify").returncode == 0
    kept = (story.root / ".atnet" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["number"] for line in kept] == list(range(1, 18))
