"""The release commands on a real SQLite registry; the gate's decision and the published models are given."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from atnet.cli.app import command_line
from atnet.errors import ModelError, ReleaseError
from atnet.registry import versions
from atnet.registry.artifacts import smoke_test
from atnet.registry.ledger import entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.lock import registry_lock
from atnet.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, aliases
from atnet.release import history, rollback, workflow
from atnet.release.golden import read_golden
from atnet.release.prune import prunable_versions
from atnet.release.transitions import recover
from tests.registered import log_model, registered, sha
from tests.releases import ReleaseProject, release_project


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> ReleaseProject:
    return release_project(tmp_path, empty_store, monkeypatch)


def atnet(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(command_line(command), [command, *arguments])


# Release


def test_a_model_that_passes_becomes_champion_and_the_old_champion_previous(project: ReleaseProject) -> None:
    assert project.release("one").result == "promoted"
    assert aliases(project.registry) == {CHAMPION: 1}
    outcome = project.release("two")
    assert outcome.message == "version 2 is champion, replacing version 1."
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert project.actions() == [("promoted", 1), ("promoted", 2)]


def test_a_model_that_fails_is_rejected_and_keeps_its_gate_result(project: ReleaseProject) -> None:
    project.release("one")
    outcome = project.release("two", "reject")
    assert (outcome.result, outcome.version) == ("rejected", 2)
    assert aliases(project.registry) == {CHAMPION: 1}
    tags = versions.version(project.registry, 2).tags
    assert tags["gate.decision"] == "reject"
    assert "No better than chance allows" in tags["gate.reasons"]
    run_id = versions.version(project.registry, 2).run_id
    paths = {entry.path for entry in project.registry.store.client.list_artifacts(run_id, "release")}
    assert paths == {f"release/{name}" for name in ("gate.json", "gate.md", "model_card.html", "model_card.md")}
    assert outcome.record is not None
    assert outcome.record.file.is_file()


def test_releasing_the_champions_own_model_changes_nothing(project: ReleaseProject) -> None:
    project.release("one")
    again = project.release("one")
    assert (again.result, again.version) == ("unchanged", 1)
    assert project.actions() == [("promoted", 1)]
    assert aliases(project.registry) == {CHAMPION: 1}


def test_a_version_is_described_by_its_card_and_the_model_by_its_aliases(project: ReleaseProject) -> None:
    project.release("one")
    client = project.registry.store.client
    assert client.get_model_version("atnet", "1").description == "It works well."
    assert "`champion` is live" in client.get_registered_model("atnet").description
    versions.describe_model(project.registry, "Our own words.")
    project.release("two")
    assert client.get_registered_model("atnet").description == "Our own words."


def test_during_the_gate_a_model_is_challenger_and_not_champion(project: ReleaseProject) -> None:
    project.release("one")
    seen: list[dict[str, int]] = []
    project.during_gate = lambda: seen.append(aliases(project.registry))
    project.release("two")
    assert seen == [{CHAMPION: 1, CHALLENGER: 2}]


@pytest.mark.slow
def test_a_champion_that_changes_during_the_gate_is_not_replaced(project: ReleaseProject) -> None:
    project.release("one")
    project.release("two")
    project.during_gate = project.rollback
    with pytest.raises(ReleaseError, match="The champion changed from version 2 to 1 while the gate judged version 3"):
        project.release("three")
    assert aliases(project.registry)[CHAMPION] == 1


def test_a_second_release_in_the_same_project_is_refused_with_the_reason(
    project: ReleaseProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "LOCK_SECONDS", 0.1)
    messages: list[str] = []

    def second_release() -> None:
        with pytest.raises(ReleaseError, match="Another release is running") as error:
            project.release("one")
        messages.append(str(error.value))

    project.during_gate = second_release
    project.release("one")
    assert len(messages) == 1


# Approval


@pytest.mark.slow
def test_with_manual_approval_a_model_that_passes_waits_and_is_not_judged_again(project: ReleaseProject) -> None:
    project.release("one")
    project.require_approval()
    assert project.release("two").result == "pending_approval"
    assert project.release("two").result == "pending_approval"
    assert project.gate_runs == 2
    assert aliases(project.registry) == {CHAMPION: 1, CHALLENGER: 2}
    assert project.actions()[1:] == [("pending_approval", 2)]


def test_an_approved_model_is_promoted(project: ReleaseProject) -> None:
    project.release("one")
    project.require_approval()
    project.release("two")
    message = project.approve(reason="looked at the errors", user="ana")
    assert message == "version 2 is champion, replacing version 1."
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    last = entries(read_ledger(project.registry))[-1].event
    assert (last.action, last.user, last.reason) == ("promoted", "ana", "approved by a user: looked at the errors")
    assert last.gate_sha256 == versions.version(project.registry, 2).tags["gate.sha256"]


@pytest.mark.slow
def test_a_model_that_a_user_rejects_is_judged_again_only_on_request(project: ReleaseProject) -> None:
    project.release("one")
    project.require_approval()
    project.release("two")
    project.reject(2, reason="too rude")
    assert aliases(project.registry) == {CHAMPION: 1}
    assert project.release("two").result == "rejected"
    assert project.gate_runs == 2
    assert project.release("two", again=True).result == "pending_approval"


@pytest.mark.slow
def test_a_version_that_nobody_approves_in_time_is_rejected(project: ReleaseProject) -> None:
    project.release("one")
    project.require_approval()
    project.release("two")
    with registry_lock(project.registry):
        recover(project.registry, datetime.now(UTC) + timedelta(hours=47))
        assert project.state(2) == "pending_approval"
        recover(project.registry, datetime.now(UTC) + timedelta(hours=49))
    assert project.state(2) == "rejected_by_user"
    assert aliases(project.registry) == {CHAMPION: 1}
    with pytest.raises(ReleaseError, match="is not waiting for approval; it is rejected_by_user"):
        project.approve(2)


@pytest.mark.slow
def test_a_model_that_was_compared_with_another_champion_is_not_approved(project: ReleaseProject) -> None:
    project.release("one")
    project.release("two")
    project.require_approval()
    project.release("three")
    project.rollback()
    with pytest.raises(ReleaseError, match="was compared with champion 2, which has changed to 1"):
        project.approve()


def test_there_is_nothing_to_approve_before_a_version_waits(project: ReleaseProject) -> None:
    with pytest.raises(ReleaseError, match="has no released version yet"):
        project.approve()
    project.release("one")
    with pytest.raises(ReleaseError, match="No version is waiting"):
        project.approve()


# Rollback


def test_a_rollback_goes_to_the_previous_version(project: ReleaseProject) -> None:
    project.release("one")
    project.release("two")
    assert project.rollback() == "version 1 is champion again, replacing version 2."
    assert aliases(project.registry) == {CHAMPION: 1}
    assert project.state(2) == "rolled_back"
    assert project.actions()[-1] == ("rolled_back", 2)


@pytest.mark.slow
def test_a_second_rollback_goes_further_back_and_not_forward_again(project: ReleaseProject) -> None:
    for name in ("one", "two", "three"):
        project.release(name)
    project.rollback()
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    project.rollback()
    assert aliases(project.registry) == {CHAMPION: 1}
    with pytest.raises(ReleaseError, match="no version before champion 1"):
        project.rollback()


@pytest.mark.slow
def test_a_model_that_was_rolled_back_is_not_promoted_again_by_itself(project: ReleaseProject) -> None:
    project.release("one")
    project.release("two")
    project.rollback()
    outcome = project.release("two")
    assert outcome.result == "rejected"
    assert "--again" in outcome.message
    assert aliases(project.registry)[CHAMPION] == 1
    assert project.release("two", again=True).result == "promoted"


@pytest.mark.slow
def test_a_rollback_can_name_its_version(project: ReleaseProject) -> None:
    for name in ("one", "two", "three"):
        project.release(name)
    project.rollback(to=1)
    assert aliases(project.registry) == {CHAMPION: 1}
    project.rollback(to=3)
    assert aliases(project.registry)[CHAMPION] == 3


def test_a_rollback_goes_only_to_a_version_that_has_been_champion(project: ReleaseProject) -> None:
    project.release("one")
    project.release("two", "reject")
    with pytest.raises(ReleaseError, match="has never been champion"):
        project.rollback(to=2)
    with pytest.raises(ReleaseError, match="is already the champion"):
        project.rollback(to=1)


@pytest.mark.slow
def test_a_version_that_does_not_predict_is_not_rolled_back_to(
    project: ReleaseProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.release("one")
    project.release("two")
    # The models of these tests have no network: the real check must notice.
    monkeypatch.setattr(rollback, "smoke_test", smoke_test)
    with pytest.raises(ModelError, match=r"Version 1 does not load and predict .* No alias moved"):
        project.rollback()
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}


def test_there_is_nothing_to_roll_back_before_the_first_release(project: ReleaseProject) -> None:
    with pytest.raises(ReleaseError, match="no released version yet"):
        project.rollback()


def test_there_is_nothing_to_roll_back_before_the_first_champion(project: ReleaseProject) -> None:
    project.release("one", "reject")
    with pytest.raises(ReleaseError, match="no champion yet"):
        project.rollback()


# Prune


@pytest.mark.slow
def test_old_versions_are_listed_first_and_deleted_on_request(project: ReleaseProject) -> None:
    for name in ("one", "two"):
        project.release(name)
    for name in ("three", "four", "five"):
        project.release(name, "reject")
    listed = prunable_versions(project.params, project.root, keep=1)
    assert [version.number for version in listed] == [3, 4]
    assert len(versions.versions(project.registry)) == 5
    assert project.prune(keep=1) == [3, 4]
    assert [version.number for version in versions.versions(project.registry)] == [1, 2, 5]
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert project.actions()[-1] == ("pruned", None)
    assert prunable_versions(project.params, project.root, keep=1) == []


@pytest.mark.slow
def test_a_version_that_waits_for_approval_is_kept(project: ReleaseProject) -> None:
    project.release("one")
    project.require_approval()
    project.release("two")
    project.release("three")
    registered(project.registry, "four")
    assert prunable_versions(project.params, project.root, keep=1) == []


# The command line


@pytest.mark.slow
def test_exit_codes_distinguish_promoted_rejected_and_pending_approval(project: ReleaseProject) -> None:
    assert atnet("release").exit_code == 0
    project.model, project.decision = "two", "reject"
    rejected = atnet("release")
    assert rejected.exit_code == 3
    assert "release: version 2 is rejected." in rejected.stdout
    assert "  failed   superior to the champion: No better than chance allows." in rejected.stdout
    assert "  details  .atnet/releases/version-2/gate.md" in rejected.stdout
    project.require_approval()
    project.model, project.decision = "three", "promote"
    assert atnet("release").exit_code == 4
    assert "approve: version 3 is champion" in atnet("approve", "--reason", "fine").stdout
    assert "rollback: version 1 is champion again" in atnet("rollback", "-m", "slow").stdout
    assert [line.split()[3] for line in atnet("history").stdout.splitlines()[1:]] == [
        "promoted",
        "rejected",
        "pending_approval",
        "promoted",
        "rolled_back",
    ]
    assert "history: 5 lines, an unbroken chain" in atnet("history", "--verify").stdout
    assert "1 versions would be deleted; add --yes" in atnet("prune", "--keep", "1").stdout


@pytest.mark.slow
def test_history_verify_names_the_line_that_was_changed(project: ReleaseProject) -> None:
    project.release("one")
    project.release("two")
    client = project.registry.store.client
    (run,) = client.search_runs([client.get_experiment_by_name("atnet-operations").experiment_id])
    client.set_tag(
        run.info.run_id, "ledger.000001", run.data.tags["ledger.000001"].replace('"version":1', '"version":7')
    )
    done = atnet("history", "--verify")
    assert done.exit_code == 1
    assert "fault: line 1 has been changed" in done.stdout


def test_lineage_goes_both_ways(project: ReleaseProject) -> None:
    md5 = "1" * 32
    lock = f"stages: {{validate: {{deps: [{{path: data/own.csv, md5: {md5}}}], outs: []}}}}"
    versions.ensure_registered_model(project.registry)
    run_id = log_model(project.registry, "own", lock=lock, train_hashes="feedfeedfeedfeed\n")
    versions.register(project.registry, sha("own"))
    versions.set_alias(project.registry, CHAMPION, 1)
    for query in ("champion", "1", run_id, sha("own"), md5):
        printed = atnet("lineage", query).stdout
        assert "version 1: registered, alias champion" in printed, query
        assert "data/own.csv 111111111111" in printed, query
    assert "1 of 1 versions were trained on it" in atnet("lineage", "feedfeedfeedfeed").stdout
    assert "0 of 1 versions" in atnet("lineage", "--text", "never seen").stdout
    with pytest.raises(ReleaseError, match="the aliases are: champion"):
        history.lineage(project.params, project.root, "nonsense")


def test_a_golden_set_is_read_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("id,text,label\n1,good film,positive\n")
    (tmp_path / "g.jsonl").write_text('{"id": 1, "text": "good film", "label": "positive"}\n')
    for name in ("g.csv", "g.jsonl"):
        assert read_golden(tmp_path / name).to_dict("records") == [
            {"id": "1", "text": "good film", "label": "positive"}
        ]
