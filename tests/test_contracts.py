"""Facts that are written in two places must be the same in both."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from atnet import files
from atnet.config import Params, parameter_docs
from pipelines.stage_list import SAMPLE, declared_stages, dvc_address, stages_for

ROOT = Path(__file__).resolve().parents[1]
STAGES = (SAMPLE, *declared_stages(ROOT))
NOT_IN_DEPS = frozenset(
    {
        # What matters of the configuration is in the stage's `params`.
        "atnet.config",
        "atnet.errors",
        "atnet.file_system",
        "atnet.redaction",
        "atnet.files",
        "atnet.stages.command",
        "atnet.stages.finished_checkpoint",
        # Adapters: a change in how something is written to disk, MLflow or DVC must not retrain a model.
        "atnet.storage",
        "atnet.batch_engine",
        "atnet.spark_engine",
        "atnet.spill",
        "atnet.table_batches",
        "atnet.tracking",
        "atnet.registry",
        "atnet.git_dvc",
        # It keeps settings of other projects from changing an output.
        "atnet.environment",
        # What the terminal shows cannot change an output.
        "atnet.stages.fit_progress",
        "atnet.stages.training_progress",
        "atnet.stderr",
        # How a child process is started and ended cannot change an output either.
        "atnet.subprocesses",
    }
)
"""Modules that a stage imports and that are not in its `deps`; a package stands for everything in it."""


def _dvc_file(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]


@cache
def _stages() -> dict[str, Any]:
    return {**_dvc_file(ROOT / "data" / "dvc.yaml"), **_dvc_file(ROOT / "dvc.yaml")}


@cache
def _imports() -> grimp.ImportGraph:
    return grimp.build_graph("atnet")


def _outputs(stage: dict[str, Any]) -> set[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def _excluded(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in NOT_IN_DEPS)


def _imported_modules(stage: str) -> set[str]:
    """Return what the stage imports, also inside functions, but not through excluded modules."""
    graph, seen, waiting = _imports(), set(), [f"atnet.stages.{stage}"]
    while waiting:
        module = waiting.pop()
        if module not in seen and not _excluded(module):
            seen.add(module)
            waiting.extend(graph.find_modules_directly_imported_by(module))
    return seen - {"atnet"}


def _module_file(module: str) -> str:
    path = Path("src", *module.split("."))
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def _source_deps(stage: str) -> set[str]:
    return {dep for dep in _stages()[stage]["deps"] if dep.startswith("src/")}


def test_dvc_yaml_lists_the_stages_in_an_order_that_their_dependencies_allow() -> None:
    assert tuple(_stages()) == STAGES
    written: set[str] = set()
    all_outputs = set().union(*(_outputs(stage) for stage in _stages().values()))
    for name, stage in _stages().items():
        early = {dep for dep in stage["deps"] if dep in all_outputs} - written
        assert not early, f"{name} needs {early}, which a later stage writes"
        written |= _outputs(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_the_source_folders_in_deps_cover_what_a_stage_imports(stage: str) -> None:
    declared = _source_deps(stage)
    imported = {_module_file(module) for module in _imported_modules(stage)}
    missing = {path for path in imported if not any(path == dep or path.startswith(f"{dep}/") for dep in declared)}
    assert not missing, "a change there would not run the stage again; add the package to deps in dvc.yaml"
    unused = {dep for dep in declared if not any(path == dep or path.startswith(f"{dep}/") for path in imported)}
    assert not unused, "the stage imports nothing from there; remove it from deps in dvc.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_same_name_everywhere_and_a_folder_of_its_own(stage: str) -> None:
    assert (ROOT / "src" / "atnet" / "stages" / f"{stage}.py").is_file()
    assert _stages()[stage]["cmd"] == f"python -m atnet.stages.{stage}", "settings must not reach a shell"
    folders = {Path(*Path(output).parts[:2]) for output in _outputs(_stages()[stage])}
    assert len(folders) == 1
    assert folders <= set(files.DATA_FOLDERS)


def test_every_stage_command_belongs_to_a_stage() -> None:
    commands = {path.stem for path in (ROOT / "src" / "atnet" / "stages").glob("*.py")}
    assert commands - {"__init__", "command", "finished_checkpoint", "fit_progress", "training_progress"} == set(STAGES)


def test_the_default_data_is_the_output_of_the_sample_stage(params: Params) -> None:
    assert _outputs(_stages()[SAMPLE]) == {str(files.DEFAULT_DATA)}
    own = params.model_copy(update={"data": params.data.model_copy(update={"path": "data/own.csv"})})
    default = params.model_copy(update={"data": params.data.model_copy(update={"path": str(files.DEFAULT_DATA)})})
    assert stages_for(own, ROOT) == STAGES[1:]
    assert stages_for(default, ROOT) == STAGES
    assert dvc_address(SAMPLE) == "data/dvc.yaml:sample"


def test_every_file_constant_of_a_stage_folder_is_an_output_or_a_dependency() -> None:
    declared = {path for stage in _stages().values() for path in [*stage["deps"], *_outputs(stage)]}
    constants = {str(value) for name, value in vars(files).items() if name.isupper() and isinstance(value, Path)}
    in_data = {path for path in constants if path.startswith("data/")} - {str(folder) for folder in files.DATA_FOLDERS}
    assert {"${vectors.pretrained}", "${vectors.unlabeled}"} <= declared, f"their default is {files.NO_FILE}"
    declared.add(str(files.NO_FILE))
    folders = {str(parent) for path in declared for parent in Path(path).parents}
    assert in_data <= declared | folders


def test_the_parameter_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert page == parameter_docs.parameter_page(params), "run `make docs`"


def test_every_key_of_params_yaml_is_explained(params: Params) -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    open_keys = {"validate.label_map", "tune.space"}  # their keys are the user's own labels, and other sections' keys
    for key in _dotted(values, open_keys):
        assert re.search(rf"^\| `{re.escape(key)}` \| .+ \| .+ \|$", page, re.MULTILINE), key
    for key in parameter_docs.parameter_keys():
        assert f"| `{key}` |" in page


def _dotted(values: dict[str, Any], open_keys: set[str], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in open_keys:
            yield from _dotted(value, open_keys, f"{key}.")
        elif prefix:
            yield key


def test_the_readme_mentions_only_make_targets_that_exist() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    named |= set(re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"pipeline", "test"} <= named
    assert named <= targets


def test_the_readme_mentions_every_stage() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [stage for stage in STAGES if f"`{stage}`" not in readme] == []


def test_continuous_integration_calls_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in (".ci/run", ".github/workflows/ci.yml"):
        called = set(re.findall(r"\bmake ([a-z-]+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))
        assert called, path
        assert called <= targets


def test_schedules_are_declared_in_prefect_yaml_only() -> None:
    for path in (ROOT / "pipelines").glob("*.py"):
        assert "cron=" not in path.read_text(encoding="utf-8"), path


def test_the_import_rules_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_stages_and_flows_import_nothing_heavy_before_they_need_it() -> None:
    code = (
        "import sys, atnet.stages.split, atnet.stages.tokenize, atnet.stages.baseline\n"
        "heavy = {'tensorflow', 'great_expectations', 'prefect', 'dvc'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
