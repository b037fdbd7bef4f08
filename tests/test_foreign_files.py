"""Files that the pipeline did not write are never deleted or replaced."""

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from atnet.diagnosis.foreign_files import foreign_files, mark_started, require_no_foreign_files
from atnet.errors import DataFileError
from atnet.files import DATA_DOCS, DATA_DOCS_PAGES, DEFAULT_DATA, STATE
from atnet.stages.sample import main as sample
from atnet.stages.split import main as split
from tests.projects import add_own_data, change_params, make_project, stages_run
from tests.settings import LABELED, ROOT, params_file
from tests.texts import labeled_texts

OWN = b"id,text,label\n1,mine,x\n"
OUTPUTS = [
    "data/02_validated/table.parquet",
    "data/02_validated/docs/index.html",
    "data/03_splits/train.parquet",
    "data/05_vectors/vectors.npy",
    "data/07_model/model.onnx",
    "data/08_evaluation/plots/roc.csv",
    "data/08_evaluation/metrics.json",
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the graph and the locks of the project, as a fresh clone has them."""
    for name in ("dvc.yaml", "dvc.lock", "data/dvc.yaml", "data/dvc.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".dvc" / "cache").mkdir(parents=True)
    return tmp_path


def put(root: Path, name: str, contents: bytes = OWN) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


def lock(root: Path, name: str, contents: bytes) -> None:
    digest = hashlib.md5(contents).hexdigest()
    outs = [{"path": name, "hash": "md5", "md5": digest, "size": len(contents)}]
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"split": {"outs": outs}}}))


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_own_file_under_the_name_of_an_output_is_refused(clone: Path, name: str) -> None:
    path = put(clone, name)
    with pytest.raises(DataFileError, match=f"{name}: not written by the pipeline.*Nothing was changed"):
        require_no_foreign_files(clone, default_data=False)

    assert path.read_bytes() == OWN


def test_an_own_file_under_the_name_of_the_default_data_is_refused_only_if_it_would_be_replaced(clone: Path) -> None:
    put(clone, str(DEFAULT_DATA))

    assert list(foreign_files(clone, default_data=False)) == []
    with pytest.raises(DataFileError, match="is not the default data, which stage `sample` writes under this name"):
        require_no_foreign_files(clone, default_data=True)
    mark_started(clone, "sample")
    assert list(foreign_files(clone, default_data=True)) == [DEFAULT_DATA]


@pytest.mark.parametrize("name", ["data/02_validated/notes.md", "data/02_validated/docs/notes.md", "data/own.csv"])
def test_a_file_that_no_stage_writes_is_left_alone(clone: Path, name: str) -> None:
    put(clone, name)

    assert list(foreign_files(clone, default_data=True)) == []


def test_outputs_of_the_lock_of_the_cache_and_of_a_killed_run_are_the_pipelines(clone: Path) -> None:
    name = "data/03_splits/train.parquet"
    lock(clone, name, OWN)
    put(clone, name)
    assert list(foreign_files(clone, default_data=False)) == []

    lock(clone, name, b"something else")
    assert list(foreign_files(clone, default_data=False)) == [Path(name)]
    digest = hashlib.md5(OWN).hexdigest()
    put(clone, f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}")
    assert list(foreign_files(clone, default_data=False)) == []

    shutil.rmtree(clone / ".dvc" / "cache" / "files")
    mark_started(clone, "split")
    assert list(foreign_files(clone, default_data=False)) == []


@pytest.mark.parametrize("stage", [sample, split])
def test_a_stage_refuses_before_it_changes_anything(
    clone: Path, stage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(clone, "data/08_evaluation/metrics.json")
    params_file(clone, LABELED, {"data": {"path": "data/own.csv"}})
    assert callable(stage)
    assert stage(["--root", str(clone)]) == 1

    message = capsys.readouterr().err
    assert "data/08_evaluation/metrics.json: not written by the pipeline" in message
    assert "dvc checkout" not in message, "it would replace the file"
    assert path.read_bytes() == OWN
    assert not (clone / STATE / "stages").exists()


def test_every_page_of_the_data_docs_is_an_output_of_its_own() -> None:
    outs = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["validate"]["outs"]

    assert {str(page) for page in DATA_DOCS_PAGES} <= {next(iter(out)) for out in outs}
    assert str(DATA_DOCS) not in {next(iter(out)) for out in outs}


@pytest.mark.slow
def test_dvc_repro_never_replaces_an_own_file_named_as_the_default_data(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"data": {"path": str(DEFAULT_DATA)}})
    path = put(project.root, str(DEFAULT_DATA), labeled_texts(200).to_csv(index=False).encode())
    contents = path.read_bytes()
    output = project.dvc("repro", "validate", check=False)

    assert "is not the default data" in output
    assert "Traceback" not in output
    assert path.read_bytes() == contents
    assert "is not the default data" in project.atnet("check", check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [OUTPUTS[1], OUTPUTS[2], OUTPUTS[5]])
def test_dvc_repro_never_deletes_an_own_file_named_as_an_output(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path / "project")
    add_own_data(project, labeled_texts(60))
    path = put(project.root, name)
    output = project.dvc("repro", "split", check=False)

    assert "not written by the pipeline" in output
    assert path.read_bytes() == OWN
    assert "not written by the pipeline" in project.atnet("check", check=False)


@pytest.mark.slow
def test_own_notes_in_the_folders_of_the_stages_survive(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    add_own_data(project, labeled_texts(60))
    notes = [
        put(project.root, f"data/{folder}/notes.md")
        for folder in ("02_validated", "02_validated/docs", "03_splits", "08_evaluation/plots")
    ]
    project.dvc("repro", "split")
    change_params(project.root / "params.yaml", {"validate": {"unique_id": "warning"}, "split": {"seed": 14}})

    assert stages_run(project.dvc("repro", "split")) == ["validate", "split"]
    assert [path.read_bytes() for path in notes] == [OWN] * 4
