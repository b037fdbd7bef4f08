"""A team's servers: two clones with two users train, publish, release and roll back at the same time."""

import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipelines.team_demo.postgresql import require_programs
from pipelines.team_demo.settings import ARTIFACT_BUCKET, DATA_BUCKET
from tests.projects import OWN_DATA, SMALL, Project, change_params, make_project
from tests.servers import wait_until
from tests.teamservers import PRIVATE_FILES, TeamServers, require_team_packages, team_servers
from tests.texts import labeled_texts

# Of requirements-team.lock.
boto3 = pytest.importorskip("boto3")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

T = TypeVar("T")
ROWS = 600
STAGES = ("validate", "split", "tokenize", "vectors", "baseline")
"""What the clones get from S3 and need not run."""
SETTINGS = {
    "tracking": {"timeout_seconds": 120},
    "train": {**SMALL["train"], "epochs": 2},
    # Two seeds of one network on one table: neither is significantly better.
    "release": {"rule": "non_inferiority", "non_inferiority_margin": 0.5, "min_compared_rows": 20},
    "release.min_scores": {"accuracy": 0.3, "macro_f1": 0.3},
    "release.baseline": {"severity": "off"},
    "release.slices": {"severity": "off"},
    "release.behavior": {"severity": "off"},
    "release.calibration": {"severity": "off"},
}
STORE_SECONDS = 600


@dataclass(slots=True)
class Member:
    """A user with a clone."""

    user: str
    project: Project
    servers: TeamServers
    printed: list[str]
    """The output of every command so far."""

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command with the user's variables and keep its output."""
        done = self.project.run(*command, check=False, **self.servers.environment(self.user))
        self.printed.append(done.stdout)
        assert not check or done.returncode == 0, f"{self.user}: {' '.join(command)}:\n{done.stdout}"
        return done

    def python(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.run(sys.executable, "-m", *arguments, check=check)

    def again_until_done(self, *arguments: str, accepted: tuple[int, ...] = (0,)) -> str:
        """Run a command again while a server is down or another user is first, as its message says to do."""
        end = time.monotonic() + STORE_SECONDS
        while True:
            done = self.python(*arguments, check=False)
            if done.returncode in accepted:
                return done.stdout
            assert time.monotonic() < end, done.stdout
            assert "Traceback" not in done.stdout

    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.servers.demo.mlflow_url)


@dataclass(slots=True)
class Team:
    servers: TeamServers
    origin: Project
    alice: Member
    bob: Member

    @property
    def members(self) -> tuple[Member, Member]:
        return self.alice, self.bob

    def both(self, call: Callable[[Member], T]) -> list[T]:
        """Do the same as both users at the same time."""
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(call, self.members))

    def training_runs(self, client: MlflowClient) -> list[Run]:
        experiment = client.get_experiment_by_name("atnet")
        return [] if experiment is None else list(client.search_runs([experiment.experiment_id], max_results=100))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    require_team_packages()
    folder = tmp_path_factory.mktemp("team")
    origin = make_project(folder / "origin", SETTINGS)
    with team_servers(origin) as servers:
        members = [Member(user, origin, servers, []) for user in ("alice", "bob")]
        _import_data(members[0])
        for member in members:
            member.project = Project(folder / member.user)
            origin.git("clone", "--quiet", str(origin.root), str(member.project.root))
        yield Team(servers, origin, *members)


def _import_data(member: Member) -> None:
    """Bring the table in from PostgreSQL, run the stages before training, and push all to S3, as docs/team.md says."""
    servers, project = member.servers, member.project
    with servers.database("texts") as connection:
        connection.execute("create table reviews (id text primary key, text text, label text)")
        rows = labeled_texts(ROWS)[["id", "text", "label"]].itertuples(index=False)
        with connection.cursor() as cursor:
            cursor.executemany("insert into reviews values (%s, %s, %s)", [tuple(map(str, row)) for row in rows])
    address = f"postgresql+psycopg://texts@127.0.0.1:{servers.demo.ports.postgresql}/texts"
    member.python("dvc", "config", "db.texts.url", address)
    member.python("dvc", "remote", "add", "--default", "team", f"s3://{DATA_BUCKET}/atnet")
    query = "select id, text, label from reviews order by id"
    member.python("dvc", "import-db", "--quiet", "--sql", query, "--conn", "texts", "--out", OWN_DATA)
    member.python("dvc", "repro", *STAGES)
    member.python("dvc", "push", f"{OWN_DATA}.dvc", *STAGES)
    project.commit()


@pytest.fixture(scope="module", autouse=True)
def user_of_the_test(team: Team) -> Iterator[None]:
    """MLflow's client reads the user from this process's environment."""
    variables = {name: value for name, value in team.servers.environment("alice").items() if "TRACKING" in name}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


# The tests of this file depend on each other and run in this order.


def test_both_clones_get_the_table_of_the_database_from_s3(team: Team) -> None:
    for member in team.members:
        member.python("dvc", "pull", f"{OWN_DATA}.dvc", *STAGES)
        assert len((member.project.root / OWN_DATA).read_text(encoding="utf-8").splitlines()) == ROWS + 1
    with team.servers.database("texts") as connection:
        connection.execute("insert into reviews values ('new-1', 'a lovely story', 'positive')")
    team.alice.python("dvc", "update", f"{OWN_DATA}.dvc")
    assert "new-1,a lovely story,positive" in (team.alice.project.root / OWN_DATA).read_text(encoding="utf-8")
    team.alice.project.git("checkout", "--quiet", f"{OWN_DATA}.dvc")
    team.alice.python("dvc", "checkout", f"{OWN_DATA}.dvc")


def test_nobody_gets_in_without_a_password(team: Team) -> None:
    variables = {**team.servers.environment("alice"), "MLFLOW_TRACKING_PASSWORD": "wrong-password"}
    done = team.alice.project.run(sys.executable, "-m", "atnet.cli", "history", check=False, **variables)
    assert done.returncode == 1
    assert "wrong-password" not in done.stdout
    assert "Traceback" not in done.stdout
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://mlflow:wrong@127.0.0.1:{team.servers.demo.ports.postgresql}/mlflow")


def test_two_users_train_while_the_server_is_killed_and_no_run_is_lost(team: Team) -> None:
    change_params(team.bob.project.root / "params.yaml", {"train": {"seed": 14}})
    client = team.alice.client()
    with ThreadPoolExecutor(2) as threads:
        trainings = [threads.submit(member.python, "dvc", "repro", check=False) for member in team.members]
        wait_until(lambda: len(team.training_runs(client)) == 2 or all(t.done() for t in trainings), seconds=1200)
        team.servers.kill_mlflow()
        wait_until(team.servers.mlflow_answers, seconds=STORE_SECONDS)
        for training in trainings:
            assert "Traceback" not in training.result().stdout
    # A stage that ended while the server was away is run again; DVC skips what was finished.
    team.both(lambda member: member.again_until_done("dvc", "repro"))
    team.both(lambda member: member.again_until_done("atnet.cli", "publish"))
    runs = team.training_runs(client)
    finished = [run for run in runs if run.info.status == "FINISHED"]
    hashes = {run.data.tags["model.sha256"] for run in finished}
    assert len(finished) == len(hashes) == 2
    for run in finished:
        assert "test/accuracy" in run.data.metrics
        assert run.info.artifact_uri.startswith("mlflow-artifacts:/")


def test_two_users_release_at_the_same_time_and_one_model_is_champion(team: Team) -> None:
    team.both(lambda member: member.again_until_done("atnet.cli", "release", accepted=(0, 3)))
    _assert_registry_is_whole(team, versions=2)


def test_a_worker_of_the_pool_trains_and_releases_while_a_user_rolls_back(team: Team) -> None:
    change_params(team.origin.root / "params.yaml", {"train": {"seed": 15}})
    started = team.alice.python("prefect", "deployment", "run", "training/training", "--watch", check=False)
    assert started.returncode == 0, started.stdout
    wait_until(lambda: len(_versions(team)) == 3, seconds=900)
    team.both(
        lambda member: (
            member.again_until_done("atnet.cli", "rollback")
            if member is team.alice
            else member.again_until_done("atnet.cli", "release", accepted=(0, 3))
        )
    )
    _assert_registry_is_whole(team, versions=3)


def _versions(team: Team) -> list[int]:
    return [int(version.version) for version in team.alice.client().search_model_versions("name = 'atnet'")]


def _assert_registry_is_whole(team: Team, *, versions: int) -> None:
    client = team.alice.client()
    model = client.get_registered_model("atnet")
    assert len(_versions(team)) == versions
    team.alice.python("atnet.cli", "history")
    events = _ledger_events(client)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    for earlier, later in itertools.pairwise(events):
        assert later["previous"] == earlier["hash"]
        assert later["champion_before"] == earlier["champion_after"], "no change of the champion is missing"
    assert int(model.aliases["champion"]) == events[-1]["champion_after"]
    assert "release.lock" not in model.tags
    assert "release.pending" not in model.tags
    assert {str(event["user"]).split("@")[0] for event in events} <= {"alice", "bob", "worker"}


def _ledger_events(client: MlflowClient) -> list[dict[str, object]]:
    experiment = client.get_experiment_by_name("atnet-operations")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`ledger.of` = 'atnet'")
    lines = {name: value for name, value in run.data.tags.items() if re.fullmatch(r"ledger\.\d{6}", name)}
    return [json.loads(lines[name]) for name in sorted(lines)]


def test_credentials_are_in_no_file_no_database_and_no_output(team: Team) -> None:
    secrets = team.servers.credentials()
    printed = "\n".join([*team.alice.printed, *team.bob.printed, team.servers.log.read_text(encoding="utf-8")])
    assert [secret for secret in secrets if secret in printed] == []
    for name in ("mlflow", "mlflow_auth", "prefect", "texts"):
        assert [secret for secret in secrets if secret in _dump(team.servers, name)] == [], name
    for bucket, identity in ((ARTIFACT_BUCKET, "mlflow"), (DATA_BUCKET, "team")):
        objects = _objects(team.servers, bucket, identity)
        assert objects
        assert not [key for key, content in objects.items() if any(secret.encode() in content for secret in secrets)]
    for root in (team.origin.root, team.alice.project.root, team.bob.project.root, team.servers.data):
        assert _files_with(root, secrets) == [], root


def _dump(servers: TeamServers, database: str) -> str:
    program = [str(require_programs() / "pg_dump"), servers.demo.database_url(database, "postgresql")]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout


def _objects(servers: TeamServers, bucket: str, identity: str) -> dict[str, bytes]:
    variables = servers.demo.s3_environment(identity)
    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def _files_with(folder: Path, secrets: list[str]) -> list[str]:
    encoded = [secret.encode() for secret in secrets]
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in PRIVATE_FILES:
            content = path.read_bytes()
            found += [str(path)] if any(secret in content for secret in encoded) else []
    return found


def test_the_files_with_credentials_are_private_and_outside_git(team: Team) -> None:
    folder = team.servers.demo.folder
    assert {path.name for path in folder.iterdir() if path.name in PRIVATE_FILES} == set(PRIVATE_FILES)
    assert [name for name in PRIVATE_FILES if (folder / name).stat().st_mode & 0o077] == []
    assert team.origin.git("status", "--porcelain", "--ignored", ".atnet").strip() == "!! .atnet/"


def test_ctrl_c_leaves_no_process(team: Team) -> None:
    started = psutil.Process(team.servers.process.pid).children(recursive=True)
    assert len(started) > 8
    assert team.servers.stop() == 0
    _, alive = psutil.wait_procs(started, timeout=30)
    assert [" ".join(process.cmdline()) for process in alive] == []
