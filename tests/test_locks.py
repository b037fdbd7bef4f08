"""The lock files agree with what they were resolved from, and with each other."""

import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.projects import ROOT

LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
MAIN, GPU, UV = "requirements.lock", "requirements-gpu.lock", "requirements-uv.lock"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("linux", "darwin", "win32")
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": platform,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[platform],
        "os_name": "nt" if platform == "win32" else "posix",
        "platform_machine": "arm64" if platform == "darwin" else "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for python in PYTHONS
    for platform in PLATFORMS
]


def pins(lock: str) -> Iterator[tuple[Requirement, str]]:
    """Yield each pinned package of a lock file with the lines below it: hashes and origins."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", (ROOT / lock).read_text(encoding="utf-8")):
        if not block.startswith("#"):
            first, _, rest = block.partition("\n")
            yield Requirement(first.rstrip(" \\")), rest


def versions(lock: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the package versions that a lock file installs in an environment."""
    found: dict[str, str] = {}
    for requirement, _ in pins(lock):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{lock} pins {name} twice in {environment}"
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found[name] = specifier.version
    return found


def source(lock: str) -> list[Requirement]:
    """Return the requirements that a lock file was resolved from."""
    if lock == MAIN:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    elif lock == UV:
        lines = ["uv"]
    else:
        text = (ROOT / lock).with_suffix(".in").read_text(encoding="utf-8")
        lines = [line for line in (line.partition("#")[0].strip() for line in text.splitlines()) if line]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_what_its_source_asks_for_and_nothing_else_asked_for(lock: str) -> None:
    requirements = source(lock)
    for environment in ENVIRONMENTS:
        locked = versions(lock, environment)
        for requirement in requirements:
            if requirement.marker is None or requirement.marker.evaluate(environment):
                name = canonicalize_name(requirement.name)
                assert name in locked, f"{lock} lacks {requirement}: make lock"
                assert requirement.specifier.contains(locked[name], prereleases=True), f"{lock}: {requirement}"

    if lock == UV:
        return  # resolved from standard input, for which uv writes no origin
    origins = re.compile(r"^    #(?: via)?\s+(-r .*\.in|atnet-pipeline \(pyproject\.toml\))$", re.MULTILINE)
    direct = {canonicalize_name(pin.name) for pin, below in pins(lock) if origins.search(below)}
    assert direct == {canonicalize_name(requirement.name) for requirement in requirements}, f"{lock}: make lock"


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != MAIN])
def test_every_lock_has_the_versions_of_the_main_lock(lock: str) -> None:
    for environment in ENVIRONMENTS:
        main, other = versions(MAIN, environment), versions(lock, environment)
        different = {
            name: (main[name], other[name]) for name in main.keys() & other.keys() if main[name] != other[name]
        }
        assert different == {}, f"{lock} differs from {MAIN}: make lock"


def test_the_gpu_build_of_tensorflow_has_the_version_of_the_cpu_build() -> None:
    linux = [environment for environment in ENVIRONMENTS if environment["sys_platform"] == "linux"]
    for environment in linux:
        main, gpu = versions(MAIN, environment), versions(GPU, environment)
        assert gpu["tensorflow"] == main["tensorflow-cpu"]
        assert "tensorflow-cpu" not in gpu
        assert "tensorflow" not in main
        assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-cuda-runtime-cu12"} <= gpu.keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_names_no_index(lock: str) -> None:
    for requirement, below in pins(lock):
        assert "--hash=sha256:" in below, requirement
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"^\s*--(?!hash)|://|^-", text, re.MULTILINE)
    assert f"-o {lock}" in text.splitlines()[1]


def test_the_supported_python_versions_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    prefix = "Programming Language :: Python :: 3."
    assert [f"3.{line.removeprefix(prefix)}" for line in project["classifiers"] if line.startswith(prefix)] == [
        *PYTHONS
    ]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in makefile
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert 'python-version: ["3.11", "3.12", "3.13"]' in workflow


def test_every_lock_can_be_made_again_with_make_lock() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [lock for lock in LOCKS if f"-o {lock}" not in makefile] == []
