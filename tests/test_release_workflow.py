"""The workflow on a real SQLite registry; the judgment itself is given, as are the published models."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atnet.cli import app as cli
from atnet.config import Params
from atnet.errors import ModelError, ReleaseError
from atnet.registry import versions
from atnet.registry.artifacts import smoke_test
from atnet.registry.ledger import entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.lock import registry_lock
from atnet.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, Registry, aliases, open_registry
from atnet.release import approval, history, workflow
from atnet.release.gate.result import GateResult
from atnet.release.gate_inputs import ReleaseOptions, read_golden
from atnet.release.records import Card
from atnet.release.settling import settle
from atnet.release.workflow import ReleaseOutcome
from atnet.storage import load_params
from tests.registered import log_model, registered, sha, verdict
from tests.settings import params_file


class Project:
    """A project whose published model and whose gate are whatever a test says."""

    def __init__(self, root: Path, registry: Registry) -> None:
        self.root, self.registry = root, registry
        self.model, self.decision = sha("one"), "promote"
        self.while_judging: Callable[[], object] = lambda: None
        self.told: list[str] = []
        self.judged = 0

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def release(self, name: str, decision: str = "promote", **options: bool) -> ReleaseOutcome:
        self.model, self.decision = sha(name), decision
        return workflow.release(self.params, self.root, ReleaseOptions(**options), tell=self.told.append)

    def rollback(self, to: int | None = None) -> str:
        return approval.rollback(self.params, self.root, to, tell=self.told.append)

    def workflow(self) -> list[tuple[str, int | None]]:
        return [(entry.event.act, entry.event.version) for entry in entries(read_ledger(self.registry))]

    def state(self, number: int) -> str:
        return versions.version(self.registry, number).state


@pytest.fixture
def project(tmp_path: Path, params: Params, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    params_file(tmp_path)
    project = Project(tmp_path, open_registry(params.tracking, tmp_path))
    known: set[str] = set()

    def publish(*_: object) -> None:
        if project.model not in known:
            known.add(project.model)
            log_model(project.registry, project.model)

    def weigh(*_: object, challenger: versions.Version, champion: versions.Version | None, **__: object) -> GateResult:
        project.judged += 1
        project.while_judging()
        return verdict(project.decision, challenger.sha256, champion.sha256 if champion else None)

    monkeypatch.setattr(workflow, "publish_from_files", publish)
    monkeypatch.setattr(workflow, "_model_sha256", lambda _: project.model)
    monkeypatch.setattr(workflow, "weigh", weigh)
    monkeypatch.setattr(workflow, "model_card", lambda *_: Card("# Card\n\nIt answers well.", "<h1>Card</h1>"))
    monkeypatch.setattr(approval, "smoke_test", lambda *_: "negative")
    return project


def _manual(project: Project) -> None:
    params_file(project.root, {"release": {"approval": "manual"}})


# Release


def test_who_passes_becomes_champion_and_the_old_champion_previous(project: Project) -> None:
    assert project.release("one").result == "promoted"
    assert aliases(project.registry) == {CHAMPION: 1}
    outcome = project.release("two")
    assert outcome.told == "version 2 is champion instead of version 1."
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert project.workflow() == [("promoted", 1), ("promoted", 2)]


def test_who_fails_is_rejected_and_keeps_its_numbers(project: Project) -> None:
    project.release("one")
    outcome = project.release("two", "reject")
    assert (outcome.result, outcome.version) == ("rejected", 2)
    assert aliases(project.registry) == {CHAMPION: 1}
    tags = versions.version(project.registry, 2).tags
    assert tags["gate.decision"] == "reject"
    assert "No better than chance allows" in tags["gate.reasons"]
    run_id = versions.version(project.registry, 2).run_id
    kept = {entry.path for entry in project.registry.store.client.list_artifacts(run_id, "release")}
    assert kept == {f"release/{name}" for name in ("gate.json", "gate.md", "model_card.html", "model_card.md")}
    assert outcome.record is not None
    assert outcome.record.file.is_file()


def test_the_champions_own_model_is_no_challenger(project: Project) -> None:
    project.release("one")
    again = project.release("one")
    assert (again.result, again.version) == ("unchanged", 1)
    assert project.workflow() == [("promoted", 1)]
    assert aliases(project.registry) == {CHAMPION: 1}


def test_a_version_is_described_by_its_card_and_the_model_by_its_aliases(project: Project) -> None:
    project.release("one")
    client = project.registry.store.client
    assert client.get_model_version("atnet", "1").description == "It answers well."
    assert "`champion` is live" in client.get_registered_model("atnet").description
    versions.describe_model(project.registry, "Our own words.")
    project.release("two")
    assert client.get_registered_model("atnet").description == "Our own words."


def test_while_it_is_judged_a_model_is_challenger_and_not_champion(project: Project) -> None:
    project.release("one")
    seen: list[dict[str, int]] = []
    project.while_judging = lambda: seen.append(aliases(project.registry))
    project.release("two")
    assert seen == [{CHAMPION: 1, CHALLENGER: 2}]


def test_a_champion_that_changes_meanwhile_is_not_pushed_aside(project: Project) -> None:
    project.release("one"), project.release("two")
    project.while_judging = project.rollback
    with pytest.raises(ReleaseError, match="The champion changed from version 2 to 1 while version 3 was judged"):
        project.release("three")
    assert aliases(project.registry)[CHAMPION] == 1


def test_two_releases_in_one_project_at_once_are_refused_in_clear_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "LOCK_SECONDS", 0.1)
    caught: list[str] = []

    def second() -> None:
        with pytest.raises(ReleaseError, match="Another release is at work") as error:
            project.release("one")
        caught.append(str(error.value))

    project.while_judging = second
    project.release("one")
    assert len(caught) == 1


# People decide


def test_with_manual_approval_a_passed_model_waits_and_is_not_judged_again(project: Project) -> None:
    project.release("one")
    _manual(project)
    assert project.release("two").result == "waiting"
    assert project.release("two").result == "waiting"
    assert project.judged == 2
    assert aliases(project.registry) == {CHAMPION: 1, CHALLENGER: 2}
    assert project.workflow()[1:] == [("waiting", 2)]


def test_an_approved_model_is_promoted(project: Project) -> None:
    project.release("one")
    _manual(project)
    project.release("two")
    told = approval.approve(project.params, project.root, why="looked at the errors", who="ana", tell=print)
    assert told == "version 2 is champion instead of version 1."
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    last = entries(read_ledger(project.registry))[-1].event
    assert (last.act, last.who, last.why) == ("promoted", "ana", "approved by a person: looked at the errors")
    assert last.gate == versions.version(project.registry, 2).tags["gate.sha256"]


def test_a_model_that_people_reject_is_not_judged_again_unless_asked(project: Project) -> None:
    project.release("one")
    _manual(project)
    project.release("two")
    approval.reject(project.params, project.root, 2, why="too rude", tell=print)
    assert aliases(project.registry) == {CHAMPION: 1}
    assert project.release("two").result == "rejected"
    assert project.judged == 2
    assert project.release("two", again=True).result == "waiting"


def test_nobody_answering_in_time_is_a_no(project: Project) -> None:
    project.release("one")
    _manual(project)
    project.release("two")
    with registry_lock(project.registry):
        settle(project.registry, print, now=datetime.now(UTC) + timedelta(hours=47))
        assert project.state(2) == "waiting"
        settle(project.registry, print, now=datetime.now(UTC) + timedelta(hours=49))
    assert project.state(2) == "refused"
    assert aliases(project.registry) == {CHAMPION: 1}
    with pytest.raises(ReleaseError, match="does not wait for a person; it is refused"):
        approval.approve(project.params, project.root, 2, tell=print)


def test_a_model_judged_against_another_champion_is_not_approved(project: Project) -> None:
    project.release("one"), project.release("two")
    _manual(project)
    project.release("three")
    project.rollback()
    with pytest.raises(ReleaseError, match="was judged against champion 2, which has changed to 1"):
        approval.approve(project.params, project.root, tell=print)


def test_there_is_nothing_to_approve_before_something_waits(project: Project) -> None:
    with pytest.raises(ReleaseError, match="Nothing has been released yet"):
        approval.approve(project.params, project.root, tell=print)
    project.release("one")
    with pytest.raises(ReleaseError, match="No version waits"):
        approval.approve(project.params, project.root, tell=print)


# Taking back


def test_a_rollback_goes_to_the_previous_version(project: Project) -> None:
    project.release("one"), project.release("two")
    assert project.rollback() == "version 1 is champion again instead of version 2."
    assert aliases(project.registry) == {CHAMPION: 1}
    assert project.state(2) == "rolled back"
    assert project.workflow()[-1] == ("rolled back", 2)


def test_a_second_rollback_goes_further_back_and_not_forth_again(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.release(name)
    project.rollback()
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    project.rollback()
    assert aliases(project.registry) == {CHAMPION: 1}
    with pytest.raises(ReleaseError, match="no version before champion 1"):
        project.rollback()


def test_a_model_that_was_rolled_back_does_not_come_back_by_itself(project: Project) -> None:
    project.release("one"), project.release("two")
    project.rollback()
    outcome = project.release("two")
    assert outcome.result == "rejected"
    assert "--again" in outcome.told
    assert aliases(project.registry)[CHAMPION] == 1
    assert project.release("two", again=True).result == "promoted"


def test_a_rollback_names_its_version(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.release(name)
    project.rollback(to=1)
    assert aliases(project.registry) == {CHAMPION: 1}
    project.rollback(to=3)
    assert aliases(project.registry)[CHAMPION] == 3


def test_a_rollback_goes_only_to_what_has_been_champion(project: Project) -> None:
    project.release("one"), project.release("two", "reject")
    with pytest.raises(ReleaseError, match="has never been champion"):
        project.rollback(to=2)
    with pytest.raises(ReleaseError, match="is the champion already"):
        project.rollback(to=1)


def test_a_version_that_does_not_answer_is_not_rolled_back_to(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.release("one"), project.release("two")
    # The models of these tests have no network: the real check must see it.
    monkeypatch.setattr(approval, "smoke_test", smoke_test)
    with pytest.raises(ModelError, match=r"Version 1 does not answer .* Nothing was moved"):
        project.rollback()
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}


def test_there_is_nothing_to_take_back_before_the_first_release(project: Project) -> None:
    with pytest.raises(ReleaseError, match="no champion yet"):
        project.rollback()


# Clearing away


def test_old_versions_are_named_first_and_removed_when_told(project: Project) -> None:
    for name in ("one", "two"):
        project.release(name)
    for name in ("three", "four", "five"):
        project.release(name, "reject")
    named = approval.prune(project.params, project.root, keep=1)
    assert [one.number for one in named] == [3, 4]
    assert len(versions.versions(project.registry)) == 5
    approval.prune(project.params, project.root, keep=1, do=True, tell=print)
    assert [one.number for one in versions.versions(project.registry)] == [1, 2, 5]
    assert aliases(project.registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert project.workflow()[-1] == ("removed", None)
    assert approval.prune(project.params, project.root, keep=1) == []


def test_a_version_that_waits_is_kept(project: Project) -> None:
    project.release("one")
    _manual(project)
    project.release("two"), project.release("three")
    registered(project.registry, "four")
    assert approval.prune(project.params, project.root, keep=1) == []


# The command line


def test_exit_codes_tell_promoted_rejected_and_waiting_apart(project: Project) -> None:
    atnet = CliRunner()
    assert atnet.invoke(cli.app, ["release"]).exit_code == 0
    project.model, project.decision = sha("two"), "reject"
    rejected = atnet.invoke(cli.app, ["release"])
    assert rejected.exit_code == 3
    assert "release: version 2 is rejected." in rejected.stdout
    assert "  failed   superior to the champion: No better than chance allows." in rejected.stdout
    assert "  verdict  .atnet/releases/version-2/gate.md" in rejected.stdout
    _manual(project)
    project.model, project.decision = sha("three"), "promote"
    assert atnet.invoke(cli.app, ["release"]).exit_code == 4
    assert "approve: version 3 is champion" in atnet.invoke(cli.app, ["approve", "--why", "fine"]).stdout
    assert "rollback: version 1 is champion again" in atnet.invoke(cli.app, ["rollback", "-m", "slow"]).stdout
    history = atnet.invoke(cli.app, ["history"]).stdout
    assert [line.split()[3] for line in history.splitlines()[1:]] == [
        "promoted",
        "rejected",
        "waiting",
        "promoted",
        "rolled",
    ]
    assert "history: 5 lines, an unbroken chain" in atnet.invoke(cli.app, ["history", "--verify"]).stdout
    assert "1 versions would be removed; add --yes" in atnet.invoke(cli.app, ["prune", "--keep", "1"]).stdout


def test_history_verify_names_the_line_that_was_tampered_with(project: Project) -> None:
    project.release("one"), project.release("two")
    client = project.registry.store.client
    (run,) = client.search_runs([client.get_experiment_by_name("atnet-operations").experiment_id])
    client.set_tag(
        run.info.run_id, "ledger.000001", run.data.tags["ledger.000001"].replace('"version":1', '"version":7')
    )
    done = CliRunner().invoke(cli.app, ["history", "--verify"])
    assert done.exit_code == 1
    assert "fault: line 1 has been changed" in done.stdout


def test_lineage_goes_both_ways(project: Project) -> None:
    md5 = "1" * 32
    lock = f"stages: {{validate: {{deps: [{{path: data/own.csv, md5: {md5}}}], outs: []}}}}"
    project.model = sha("own")
    versions.ensure_registered_model(project.registry)
    run_id = log_model(project.registry, project.model, lock=lock, train_hashes="feedfeedfeedfeed\n")
    versions.register(project.registry, project.model)
    versions.set_alias(project.registry, CHAMPION, 1)
    ask = CliRunner()
    for what in ("champion", "1", run_id, sha("own"), md5):
        told = ask.invoke(cli.app, ["lineage", what]).stdout
        assert "version 1: registered, alias champion" in told, what
        assert "data/own.csv 111111111111" in told, what
    told = ask.invoke(cli.app, ["lineage", "feedfeedfeedfeed"]).stdout
    assert "1 of 1 versions were trained on it" in told
    assert "0 of 1 versions" in ask.invoke(cli.app, ["lineage", "--text", "never seen"]).stdout
    with pytest.raises(ReleaseError, match="the aliases are: champion"):
        history.lineage(project.params, project.root, "nonsense")


def test_a_golden_set_is_read_whatever_its_form(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("id,text,label\n1,good film,positive\n")
    (tmp_path / "g.jsonl").write_text('{"id": 1, "text": "good film", "label": "positive"}\n')
    for name in ("g.csv", "g.jsonl"):
        assert read_golden(tmp_path / name).to_dict("records") == [
            {"id": "1", "text": "good film", "label": "positive"}
        ]
