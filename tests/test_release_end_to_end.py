"""The story of a registered model, with a real MLflow server and a real Prefect server."""

import re
import time
from collections.abc import Iterator

import pandas as pd
import pytest
import yaml

from atnet import files
from atnet.storage import load_params
from tests.projects import make_project
from tests.releasestory import Story, told_on
from tests.servers import ask
from tests.wordmodels import SUITE, train_word_model, write_word_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RELEASE = {
    "release": {"bootstrap_samples": 1000},
    "release.behavior": {"suites": ["behavior/generated.yaml"], "min_pass_rate": {"mft": 0.75, "inv": 0.9, "dir": 0.8}},
}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    project = make_project(tmp_path_factory.mktemp("story"), RELEASE)
    root = project.root
    (root / "behavior").mkdir(exist_ok=True)
    (root / "behavior" / "generated.yaml").write_text(yaml.safe_dump(SUITE))
    write_word_project(root, load_params(root / "params.yaml"))
    with told_on(project, Story) as story:
        yield story


def train(story: Story, rows: int, *, shuffled: bool = False) -> None:
    train_word_model(story.root, story.params, rows=rows, shuffled=shuffled)


# The tests of this file are one story and run in this order.


def test_the_first_model_passes_the_gate_and_becomes_champion(story: Story) -> None:
    train(story, 40)
    done = story.atnet("release")
    assert done.returncode == 0, done.stdout
    assert "release: version 1 is champion." in done.stdout
    assert story.aliases() == {"champion": 1}
    version = story.client.get_model_version("atnet", "1")
    assert version.description.startswith("AtNet gives 84.0%")
    paths = {entry.path for entry in story.client.list_artifacts(version.run_id, "release")}
    assert {"release/gate.json", "release/model_card.html"} <= paths


def test_the_champion_itself_is_no_challenger(story: Story) -> None:
    done = story.atnet("release")
    assert done.returncode == 0
    assert "version 1 is this very model and is live" in done.stdout


def test_a_model_of_shuffled_labels_is_rejected_with_all_reasons(story: Story) -> None:
    train(story, 1500, shuffled=True)
    done = story.atnet("release")
    assert done.returncode == 3, done.stdout
    reasons = re.findall(r"^  failed   (\w[\w -]*(?:: minimum)?): ", done.stdout, re.MULTILINE)
    for expected in ("champion", "minimum accuracy", "minimum macro-F1", "slices", "behavior: minimum"):
        assert expected in reasons, done.stdout
    assert story.aliases() == {"champion": 1}
    assert story.tags(2)["release.state"] == "rejected"
    assert "minimum accuracy" in story.tags(2)["gate.reasons"]
    assert story.client.get_run(story.client.get_model_version("atnet", "2").run_id).data.metrics["gate/accuracy"] < 0.6


def test_a_really_better_model_is_promoted(story: Story) -> None:
    train(story, 80)
    done = story.atnet("release")
    assert done.returncode == 0, done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1}


def test_a_person_rejects_on_the_command_line(story: Story) -> None:
    story.set_release(approval="manual")
    train(story, 300)
    done = story.atnet("release")
    assert done.returncode == 4, done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1, "challenger": 4}
    assert story.tags(4)["release.state"] == "waiting"
    assert story.atnet("release").returncode == 4
    done = story.atnet("reject", "4", "--why", "wait for the new texts")
    assert "reject: version 4 is rejected." in done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1}


def test_a_person_approves_in_prefect(story: Story) -> None:
    train(story, 1500)
    with story.deployments():
        run = story.start_release()
        assert story.wait_for(run, "PAUSED")["state_name"] == "Suspended", story.flow_run(run)["state"]
        assert story.tags(5)["release.state"] == "waiting"
        (table,) = ask(
            story.prefect_uri, "artifacts/latest/filter", {"artifacts": {"key": {"any_": ["release-verdict"]}}}
        )
        assert '"servable"' in table["data"]
        story.answer(run, approve=True, why="looks right", who="ana")
        assert story.wait_for(run)["state_name"] == "Decided", story.flow_run(run)["state"]
    assert story.aliases() == {"champion": 5, "previous": 3}
    assert story.tags(5)["release.by"] == "ana in Prefect"


def test_a_rollback_takes_seconds(story: Story) -> None:
    start = time.perf_counter()
    done = story.atnet("rollback", "--why", "too many complaints")
    print(f"rollback took {time.perf_counter() - start:.1f} s, start of Python included")
    assert "rollback: version 3 is champion again instead of version 5." in done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1}
    done = story.atnet("release")
    assert done.returncode == 3, "what people have taken back must not return by itself"


def test_the_lineage_goes_from_text_and_file_to_the_live_alias(story: Story) -> None:
    told = story.atnet("lineage", "champion").stdout
    assert "version 3: promoted, alias champion" in told
    split = story.atnet("lineage", str(files.split_table("train"))).stdout
    assert "the train split" in split
    first = pd.read_parquet(story.root / files.SPLITS / "train.parquet")["text"].iloc[60]
    told = story.atnet("lineage", "--text", first).stdout
    assert "4 of 5 versions were trained on it" in told


def test_old_versions_are_cleared_away(story: Story) -> None:
    assert "2 versions would be removed" in story.atnet("prune", "--keep", "1").stdout
    assert "2 versions removed" in story.atnet("prune", "--keep", "1", "--yes").stdout
    assert story.aliases() == {"champion": 3, "previous": 1}


def test_the_ledger_tells_the_story_and_catches_a_tampered_line(story: Story) -> None:
    assert story.history() == [
        *("promoted", "rejected", "promoted", "waiting", "rejected", "waiting", "promoted", "rolled back", "removed")
    ]
    history = story.atnet("history").stdout
    assert "ana in Prefect" in history
    assert "wait for the new texts" in history
    assert "9 lines, an unbroken chain" in story.atnet("history", "--verify").stdout

    put_back = story.tamper(7, "ana in Prefect", "eve in Prefect")
    done = story.atnet("history", "--verify")
    assert done.returncode == 1
    assert "fault: line 7 has been changed: it does not match its own hash" in done.stdout
    put_back()
    assert story.atnet("history", "--verify").returncode == 0
