"""Bringing in new data with DVC."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from atnet import refresh_data
from atnet.errors import StoreError
from atnet.git_dvc import out_of_date, run_dvc


def _write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _tracked(md5: str, path: str, source: str | None = None) -> dict[str, object]:
    content: dict[str, object] = {"outs": [{"md5": md5, "path": path}]}
    return content | ({"deps": [{"path": source}], "frozen": True} if source else {})


def test_the_data_file_belongs_to_its_own_dvc_file_or_to_that_of_a_parent_folder(tmp_path: Path) -> None:
    own = _write(tmp_path / "data" / "own.csv.dvc", {})
    folder = _write(tmp_path / "data" / "sets.dvc", {})
    assert refresh_data.own_dvc_file(tmp_path, "data/own.csv") == own
    assert refresh_data.own_dvc_file(tmp_path, "data/sets/2024/texts.csv") == folder
    assert refresh_data.own_dvc_file(tmp_path, "data/01_raw/sentiment.csv") is None
    assert refresh_data.own_dvc_file(tmp_path, "/elsewhere/own.csv") is None


def test_dvc_files_of_tools_and_caches_are_skipped(tmp_path: Path) -> None:
    for folder in (".venv/lib", ".dvc/tmp", "data"):
        _write(tmp_path / folder / "a.csv.dvc", {})
    (tmp_path / "data" / ".dvc").mkdir()
    assert list(refresh_data.dvc_files(tmp_path)) == [tmp_path / "data" / "a.csv.dvc"]


def test_refresh_updates_imports_and_adds_the_changed_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "data" / "import.csv.dvc", _tracked("1", "import.csv", source="/somewhere.csv"))
    own = _write(tmp_path / "data" / "own.csv.dvc", _tracked("1", "own.csv"))
    (tmp_path / "data" / "own.csv").write_text("text,label\n")
    called = []

    def dvc(arguments: list[str], root: Path) -> str:
        called.append(arguments)
        if arguments[0] == "add":
            _write(own, _tracked("2", "own.csv"))
        return ""

    monkeypatch.setattr(refresh_data, "run_dvc", dvc)
    result = refresh_data.refresh_data(tmp_path, "data/own.csv")
    assert called == [["update", "data/import.csv.dvc"], ["add", "data/own.csv"]]
    assert result.changed == ("data/own.csv.dvc",)
    assert result.summary().startswith("new data: data/own.csv.dvc.")


def test_refreshing_untracked_data_runs_no_dvc_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh_data, "run_dvc", lambda *_: pytest.fail("DVC was called"))
    assert refresh_data.refresh_data(tmp_path, "data/01_raw/sentiment.csv").summary().startswith("no new data")


def test_a_tracked_file_that_is_missing_is_left_to_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "data" / "own.csv.dvc", _tracked("1", "own.csv"))
    monkeypatch.setattr(refresh_data, "run_dvc", lambda *_: pytest.fail("DVC was called"))
    assert refresh_data.refresh_data(tmp_path, "data/own.csv").changed == ()


@pytest.fixture
def dvc_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create an empty DVC project without git."""
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    run_dvc(["init", "--quiet", "--no-scm"], tmp_path)
    return tmp_path


def test_a_dvc_command_that_fails_is_reported_with_dvcs_own_message(dvc_project: Path) -> None:
    with pytest.raises(StoreError, match=r"`dvc update none\.csv\.dvc` failed: .*none\.csv\.dvc.* Run it yourself"):
        run_dvc(["update", "none.csv.dvc"], dvc_project)


@pytest.mark.slow
def test_stale_stages_are_named(dvc_project: Path) -> None:
    stages = {"copy": {"cmd": f"{sys.executable} -c pass", "deps": ["a.txt"]}}
    (dvc_project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (dvc_project / "a.txt").write_text("1")
    assert out_of_date(dvc_project, ["copy"]) == ["copy"]
    run_dvc(["repro", "--quiet"], dvc_project)
    assert out_of_date(dvc_project, ["copy"]) == []
    (dvc_project / "a.txt").write_text("2")
    assert out_of_date(dvc_project, ["copy"]) == ["copy"]


@pytest.mark.slow
def test_an_import_is_followed_to_its_source(dvc_project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.mktemp("source") / "texts.csv"
    source.write_text("text,label\n")
    run_dvc(["import-url", str(source), "texts.csv"], dvc_project)
    assert refresh_data.refresh_data(dvc_project, "texts.csv").changed == ()
    source.write_text("text,label\na,b\n")
    assert refresh_data.refresh_data(dvc_project, "texts.csv").changed == ("texts.csv.dvc",)
    assert (dvc_project / "texts.csv").read_text() == "text,label\na,b\n"
    shutil.rmtree(source.parent)
    with pytest.raises(StoreError, match="failed"):
        refresh_data.refresh_data(dvc_project, "texts.csv")
