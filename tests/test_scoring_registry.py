"""`atnet score` as users call it: the champion from a real store, messages, exit codes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from atnet.config import Params
from atnet.errors import ModelError, ReleaseError
from atnet.registry import versions
from atnet.registry.versions import CHAMPION, Registry
from atnet.scoring.fetch_model import _fetch, fetch_model
from tests.scoringproject import open_store, publish_champion, write_csv, write_project
from tests.tinymodel import write_tiny_model


@pytest.fixture
def registry(tmp_path: Path, params: Params, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return the store of an empty project."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return open_store(write_project(tmp_path), params, empty_store)


def atnet(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = {**inherited, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "atnet.cli", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_a_champion_is_fetched_with_its_code_and_verified(registry: Registry, tmp_path: Path) -> None:
    version = publish_champion(registry, write_tiny_model(tmp_path / "model"))
    model = _fetch(registry.config, registry.root, CHAMPION, tmp_path / "fetched")
    assert (model.name, model.version, model.sha256) == ("atnet", version.number, version.sha256)
    assert (model.folder / "artifacts" / "inference.py").is_file()


def test_damaged_files_of_the_champion_are_refused(registry: Registry, tmp_path: Path) -> None:
    publish_champion(registry, write_tiny_model(tmp_path / "model"))
    (stored,) = (tmp_path / "mlartifacts").rglob("model.onnx")
    stored.write_bytes(stored.read_bytes() + b"x")
    with pytest.raises(ModelError, match="are not the ones that were published"):
        _fetch(registry.config, registry.root, CHAMPION, tmp_path / "fetched")


def test_without_a_champion_the_message_says_how_to_get_one(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(
        ReleaseError, match=r"atnet has no champion, so there is no model to score with\. .*atnet release"
    ):
        _fetch(registry.config, registry.root, CHAMPION, tmp_path / "fetched")


def test_an_unknown_alias_is_named_with_those_that_exist(registry: Registry, tmp_path: Path) -> None:
    publish_champion(registry, write_tiny_model(tmp_path / "model"))
    with pytest.raises(ReleaseError, match=r"atnet has no alias 'nosuch'\. Its aliases: champion\. Choose one"):
        _fetch(registry.config, registry.root, "nosuch", tmp_path / "fetched")


@pytest.mark.slow
def test_errors_of_the_fetching_process_reach_the_caller(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="has no champion"):
        fetch_model(registry.config, registry.root, CHAMPION, tmp_path / "fetched")


@pytest.mark.slow
def test_the_command_scores_a_folder_and_summarizes_it(registry: Registry, tmp_path: Path) -> None:
    publish_champion(registry, write_tiny_model(tmp_path / "model"))
    write_csv(tmp_path / "in" / "2026-11-01.csv", 5000)
    write_csv(tmp_path / "in" / "2026-11-02.csv", 10)
    done = atnet(tmp_path, "score", "in", "scored")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # No bar without a terminal: one line for each partition.
    *partitions, summary = done.stdout.splitlines()
    assert partitions == ["2026-11-01.csv: 5,000 rows (not scored yet)", "2026-11-02.csv: 10 rows (not scored yet)"]
    assert summary.startswith("score: 2 partitions, 5,010 rows, scored by version 1 of atnet; ")
    ids = pq.read_table(tmp_path / "scored" / "2026-11-01.parquet")["id"].to_pylist()
    assert ids == [f"2026-11-01-{row}" for row in range(5000)]
    again = atnet(tmp_path, "score", "in", "scored")
    assert (again.returncode, again.stdout) == (0, "score: nothing to score: 2 partitions up to date\n")

    # A registry that is gone does not matter where there is nothing to score.
    shutil.move(tmp_path / "mlflow.db", tmp_path / "away.db")
    assert atnet(tmp_path, "score", "in", "scored").returncode == 0
    shutil.move(tmp_path / "away.db", tmp_path / "mlflow.db")

    publish_champion(registry, write_tiny_model(tmp_path / "newer", scale=2.0))
    stale = atnet(tmp_path, "score", "in", "scored", "--stale", "--from", "2026-11-02")
    assert "1 partition, 10 rows, scored by version 2 of atnet" in stale.stdout
    assert "(scored by version 1)" in stale.stdout


@pytest.mark.slow
def test_the_command_fails_in_one_message(registry: Registry, tmp_path: Path) -> None:
    write_csv(tmp_path / "in.csv", 3)
    done = atnet(tmp_path, "score", "in.csv", "out.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("atnet: atnet has no champion")
    assert "Traceback" not in done.stderr
    publish_champion(registry, write_tiny_model(tmp_path / "model"))
    (tmp_path / "in.csv").write_text("id,text\na,x\na,y\n")
    done = atnet(tmp_path, "score", "in.csv", "out.csv")
    assert done.returncode == 1
    assert "1 partition could not be scored:\n  in.csv: " in done.stdout
    assert "in.csv" not in done.stderr, "the message is shown once"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_version_under_another_alias_can_score(registry: Registry, tmp_path: Path) -> None:
    first = publish_champion(registry, write_tiny_model(tmp_path / "first"))
    publish_champion(registry, write_tiny_model(tmp_path / "second", scale=3.0))
    versions.set_alias(registry, "challenger", first.number)
    write_csv(tmp_path / "in.csv", 3)
    done = atnet(tmp_path, "score", "in.csv", "out.csv", "--alias", "challenger")
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(tmp_path / "out.csv")["version"]) == {1}
