"""What is said in two places must be the same in both."""

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

from atnet.config import Params, parameter_docs
from pipelines.dvc_stage import SAMPLE, SAMPLE_FILE, STAGES, dvc_address, stages_for

ROOT = Path(__file__).resolve().parents[1]
NOT_IN_DEPS = frozenset(
    {
        # What matters of the configuration stands in the stage's `params`.
        "atnet",
        "atnet.config",
        "atnet.errors",
        "atnet.stages",
        "atnet.stages.command",
        # The doors: editing how something is written to disk, MLflow or DVC must not retrain a model.
        "atnet.storage",
        "atnet.tracking",
        "atnet.registry",
        "atnet.serving",
        "atnet.versioning",
    }
)
"""Modules that a stage imports and that do not stand in its `deps`; a package stands for all that is in it."""


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


def _left_out(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in NOT_IN_DEPS - {"atnet", "atnet.stages"}) or (
        module in NOT_IN_DEPS
    )


def _imported_modules(stage: str) -> set[str]:
    """Follow the stage's imports, those inside functions included; behind a door nobody looks."""
    graph, found, waiting = _imports(), set(), [f"atnet.stages.{stage}"]
    while waiting:
        module = waiting.pop()
        if module not in found and not _left_out(module):
            found.add(module)
            waiting.extend(graph.find_modules_directly_imported_by(module))
    return found


def _module_file(module: str) -> str:
    path = Path("src", *module.split("."))
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def test_the_flow_runs_the_stages_in_an_order_that_dvc_yaml_allows() -> None:
    assert tuple(_stages()) == STAGES
    made: set[str] = set()
    everything = set().union(*(_outputs(stage) for stage in _stages().values()))
    for name, stage in _stages().items():
        early = {dep for dep in stage["deps"] if dep in everything} - made
        assert not early, f"{name} needs {early}, which a later stage makes"
        made |= _outputs(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_modules_it_imports(stage: str) -> None:
    declared = {dep for dep in _stages()[stage]["deps"] if dep.startswith("src/") and dep.endswith(".py")}
    assert declared == {_module_file(module) for module in _imported_modules(stage)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_same_name_in_all_places(stage: str, params: Params) -> None:
    assert (ROOT / "src" / "atnet" / "stages" / f"{stage}.py").is_file()
    assert _stages()[stage]["cmd"].startswith(f"python -m atnet.stages.{stage} ")
    assert stage in STAGES
    folders = re.findall(r"\$\{folders\.(\w+)\}", " ".join(_outputs(_stages()[stage])))
    assert folders, f"{stage} writes to no folder of params.yaml"
    assert len(set(folders)) == 1
    number = STAGES.index(stage)
    assert getattr(params.folders, folders[0]).startswith("data/0"), f"stage {number} has no numbered folder"


def test_every_stage_command_belongs_to_a_stage() -> None:
    commands = {path.stem for path in (ROOT / "src" / "atnet" / "stages").glob("*.py")} - {"__init__", "command"}
    assert commands == set(STAGES)


def test_the_default_data_is_the_output_of_the_sample_stage(params: Params) -> None:
    assert _outputs(_stages()[SAMPLE]) == {f"${{folders.raw}}/{SAMPLE_FILE}"}
    own = params.model_copy(update={"data": params.data.model_copy(update={"path": "data/own.csv"})})
    default = f"{params.folders.raw}/{SAMPLE_FILE}"
    embedded = params.model_copy(update={"data": params.data.model_copy(update={"path": default})})
    assert stages_for(own) == STAGES[1:]
    assert stages_for(embedded) == STAGES
    assert dvc_address(SAMPLE) == "data/dvc.yaml:sample"


def test_the_commands_read_the_folders_they_depend_on() -> None:
    for name, stage in _stages().items():
        used = set(re.findall(r"\$\{[\w.]+\}", stage["cmd"]))
        needed = {match for one in [*stage["deps"], *_outputs(stage)] for match in re.findall(r"\$\{[\w.]+\}", one)}
        assert used == needed, f"{name}: the command and its deps and outs name different folders"


def test_the_parameter_page_is_the_generated_one() -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert page == parameter_docs.parameter_page(), "run `make docs`"


def test_every_key_of_params_yaml_is_explained(params: Params) -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    free = {"validate.label_map", "tune.space"}  # their keys are the user's own labels, and other sections' keys
    for key in _dotted(values, free):
        assert re.search(rf"^\| `{re.escape(key)}` \| .+ \| .+ \|$", page, re.MULTILINE), key
    for key in parameter_docs.parameter_keys():
        assert f"| `{key}` |" in page


def _dotted(values: dict[str, Any], free: set[str], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in free:
            yield from _dotted(value, free, f"{key}.")
        elif prefix:
            yield key


def test_the_readme_names_only_make_targets_that_exist() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    named |= set(re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"pipeline", "test"} <= named
    assert named <= targets


def test_the_readme_names_every_stage() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [stage for stage in STAGES if f"`{stage}`" not in readme] == []


def test_the_readme_names_every_package_of_the_library() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "src" / "atnet").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}`" not in readme} == set()


def test_continuous_integration_calls_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in (".ci/run", ".github/workflows/ci.yml"):
        called = set(re.findall(r"\bmake ([a-z-]+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))
        assert called, path
        assert called <= targets


def test_schedules_stand_in_prefect_yaml_only() -> None:
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
