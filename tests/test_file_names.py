"""Any file name works as data.path, and no part of it reaches a shell."""

from pathlib import Path

import pytest
import yaml

from atnet.cli.check import check_inputs
from tests.projects import change_params, make_project
from tests.settings import LABELED, ROOT, params_with
from tests.texts import labeled_texts

NAMES = [
    "reviews (1).csv",
    "my reviews.csv",
    "joao's.csv",
    'quote".csv',
    "a&b.csv",
    "cost$HOME.csv",
    "semi;touch PWNED;.csv",
    "$(touch PWNED).csv",
    "`touch PWNED`.csv",
    "per%20cent#1?.csv",
    "${train.seed}.csv",
    "[x]{y}*.csv",
    "ação.csv",
    "-dash.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_check_reads_a_file_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labeled_texts(20).to_csv(tmp_path / name, index=False)

    assert check_inputs(params_with(LABELED, {"data": {"path": name}}))[0].startswith(f"{name}: 20 rows")


def test_no_command_of_the_graph_contains_a_parameter() -> None:
    for name in ("dvc.yaml", "data/dvc.yaml"):
        stages = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["stages"]
        assert all("$" not in stage["cmd"] for stage in stages.values())


@pytest.mark.slow
@pytest.mark.parametrize("names", [NAMES[:5], NAMES[5:10], NAMES[10:]], ids=["quotes", "shell", "globs"])
def test_dvc_runs_a_file_of_any_name(names: list[str], tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    for name in names:
        labeled_texts(60).to_csv(project.root / "data" / name, index=False)
        change_params(project.root / "params.yaml", {"data": {"path": f"data/{name}"}})
        project.dvc("add", f"data/{name}")
        project.dvc("repro", "validate")

        assert project.json("data/02_validated/report.json")["rows"]["valid"] == 60
    assert list(project.root.rglob("PWNED*")) == []
