"""The history of a registered model, with a real MLflow server and a real Prefect server."""

import re
import time
from collections.abc import Iterator

import pandas as pd
import pytest
import yaml

from atnet import files
from atnet.storage import load_params
from tests.projects import make_project
from tests.releasestory import ReleaseStory, release_servers
from tests.servers import ask
from tests.wordmodels import SUITE, train_word_model, write_word_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RELEASE = {
    "release": {"bootstrap_samples": 1000},
    "release.behavior": {"suites": ["behavior/generated.yaml"], "min_pass_rate": {"mft": 0.75, "inv": 0.9, "dir": 0.8}},
}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseStory]:
    project = make_project(tmp_path_factory.mktemp("story"), RELEASE)
    root = project.root
    (root / "behavior").mkdir(exist_ok=True)
    (root / "behavior" / "generated.yaml").write_text(yaml.safe_dump(SUITE))
    write_word_project(root, load_params(root / "params.yaml"))
    with release_servers(project, ReleaseStory) as story:
        yield story


def train(story: ReleaseStory, rows: int, *, shuffled: bool = False) -> None:
    train_word_model(story.root, story.params, rows=rows, shuffled=shuffled)


# The tests of this file depend on each other and run in this order.


def test_the_first_model_passes_the_gate_and_becomes_champion(story: ReleaseStory) -> None:
    train(story, 40)
    done = story.atnet("release")
    assert done.returncode == 0, done.stdout
    assert "release: version 1 is champion." in done.stdout
    assert story.aliases() == {"champion": 1}
    version = story.client.get_model_version("atnet", "1")
    assert version.description.startswith("AtNet predicts the right label for 84.0%")
    paths = {entry.path for entry in story.client.list_artifacts(version.run_id, "release")}
    assert {"release/gate.json", "release/model_card.html"} <= paths


def test_releasing_the_champion_again_changes_nothing(story: ReleaseStory) -> None:
    done = story.atnet("release")
    assert done.returncode == 0
    assert "version 1 is this model and is live" in done.stdout


def test_a_model_trained_on_shuffled_labels_is_rejected_with_all_reasons(story: ReleaseStory) -> None:
    train(story, 1500, shuffled=True)
    done = story.atnet("release")
    assert done.returncode == 3, done.stdout
    reasons = re.findall(r"^  failed   (\w[\w -]*(?:: MFT)?): ", done.stdout, re.MULTILINE)
    for expected in ("champion", "minimum accuracy", "minimum macro-F1", "slices", "behavior: MFT"):
        assert expected in reasons, done.stdout
    assert story.aliases() == {"champion": 1}
    assert story.tags(2)["release.state"] == "rejected"
    assert "minimum accuracy" in story.tags(2)["gate.reasons"]
    assert story.client.get_run(story.client.get_model_version("atnet", "2").run_id).data.metrics["gate/accuracy"] < 0.6


def test_a_better_model_is_promoted(story: ReleaseStory) -> None:
    train(story, 80)
    done = story.atnet("release")
    assert done.returncode == 0, done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1}


def test_a_user_rejects_on_the_command_line(story: ReleaseStory) -> None:
    story.set_release(approval="manual")
    train(story, 300)
    done = story.atnet("release")
    assert done.returncode == 4, done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1, "challenger": 4}
    assert story.tags(4)["release.state"] == "pending_approval"
    assert story.atnet("release").returncode == 4
    done = story.atnet("reject", "4", "--reason", "wait for the new texts")
    assert "reject: version 4 is rejected." in done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1}


def test_a_user_approves_in_prefect(story: ReleaseStory) -> None:
    train(story, 1500)
    with story.deployments():
        run = story.start_release()
        assert story.wait_for(run, "PAUSED")["state_name"] == "Suspended", story.flow_run(run)["state"]
        assert story.tags(5)["release.state"] == "pending_approval"
        (table,) = ask(story.prefect_uri, "artifacts/latest/filter", {"artifacts": {"key": {"any_": ["gate-result"]}}})
        assert '"servable"' in table["data"]
        story.answer(run, approve=True, reason="looks right", user="ana")
        assert story.wait_for(run)["state_name"] == "Decided", story.flow_run(run)["state"]
    assert story.aliases() == {"champion": 5, "previous": 3}
    assert story.tags(5)["release.user"] == "ana in Prefect"


def test_a_rollback_takes_seconds(story: ReleaseStory) -> None:
    start = time.perf_counter()
    done = story.atnet("rollback", "--reason", "too many complaints")
    print(f"rollback took {time.perf_counter() - start:.1f} s, start of Python included")
    assert "rollback: version 3 is champion again, replacing version 5." in done.stdout
    assert story.aliases() == {"champion": 3, "previous": 1}
    done = story.atnet("release")
    assert done.returncode == 3, "a version that was rolled back must not be promoted again automatically"


def test_the_lineage_goes_from_text_and_file_to_the_live_alias(story: ReleaseStory) -> None:
    printed = story.atnet("lineage", "champion").stdout
    assert "version 3: promoted, alias champion" in printed
    printed = story.atnet("lineage", str(files.split_table("train"))).stdout
    assert "the train split" in printed
    first = pd.read_parquet(story.root / files.SPLITS / "train.parquet")["text"].iloc[60]
    printed = story.atnet("lineage", "--text", first).stdout
    assert "4 of 5 versions were trained on it" in printed


def test_old_versions_are_pruned(story: ReleaseStory) -> None:
    assert "2 versions would be deleted" in story.atnet("prune", "--keep", "1").stdout
    assert "2 versions deleted" in story.atnet("prune", "--keep", "1", "--yes").stdout
    assert story.aliases() == {"champion": 3, "previous": 1}


def test_the_ledger_has_the_whole_history_and_shows_a_changed_line(story: ReleaseStory) -> None:
    assert story.history() == [
        *("promoted", "rejected", "promoted", "pending_approval", "rejected", "pending_approval"),
        *("promoted", "rolled_back", "pruned"),
    ]
    history = story.atnet("history").stdout
    assert "ana in Prefect" in history
    assert "wait for the new texts" in history
    assert "9 lines, an unbroken chain" in story.atnet("history", "--verify").stdout

    restore = story.tamper(7, "ana in Prefect", "eve in Prefect")
    done = story.atnet("history", "--verify")
    assert done.returncode == 1
    assert "fault: line 7 has been changed: it does not match its own hash" in done.stdout
    restore()
    assert story.atnet("history", "--verify").returncode == 0
