"""Look at what the pipeline stands on and say what is wrong before it breaks."""

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from atnet.config import TrackingConfig
from atnet.environment import environment_notes
from atnet.errors import StoreError
from atnet.files import FLOW_LOCK
from atnet.git_dvc import damaged_in_cache
from atnet.redaction import redact
from atnet.subprocesses import is_alive

Level = Literal["ok", "note", "fault"]
TESTED_PYTHON = (3, 11)
PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "mlflow", "dvc", "prefect", "great-expectations", "onnxruntime")
NEEDED_BYTES = 5 * 2**30
PREFECT_API = "http://127.0.0.1:4200/api"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: Level
    told: str


def examine(root: Path, tracking: TrackingConfig) -> list[Finding]:
    """Look at everything; nothing is changed, but an MLflow store is made where there is none."""
    return [
        look_at_python(),
        look_at_packages(),
        look_at_disk(root),
        look_at_locks(root),
        look_at_cache(root),
        look_at_store(root, tracking),
        look_at_environment(root),
        *look_at_prefect(os.environ.get("PREFECT_API_URL", PREFECT_API)),
    ]


def look_at_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Say which Python runs, and whether the project is tested with it."""
    name = ".".join(str(part) for part in version)
    told = f"{name} on {platform.platform()}"
    if version[:2] == TESTED_PYTHON:
        return Finding("Python", "ok", told)
    return Finding("Python", "note", f"{told}. The project is tested with 3.11.")


def look_at_packages() -> Finding:
    """Name the versions of the packages that matter most."""
    found = {name: _version(name) for name in PACKAGES}
    return Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items() if version))


def look_at_disk(root: Path, needed_bytes: int = NEEDED_BYTES) -> Finding:
    """See that there is room for the environment, the caches and a model."""
    free = shutil.disk_usage(root).free
    told = f"{free / 2**30:.1f} GB free"
    if free >= needed_bytes:
        return Finding("disk", "ok", told)
    return Finding("disk", "fault", f"{told}. Free some: `dvc gc --workspace` drops outputs no longer used.")


def look_at_locks(root: Path) -> Finding:
    """See whether a flow or a DVC command is at work in the project."""
    path = root / FLOW_LOCK
    if path.exists():
        try:
            FileLock(path, timeout=0).acquire().lock.release()
        except Timeout:
            return Finding("locks", "note", f"a flow is at work: it holds {FLOW_LOCK}")
    if commands := sorted(_dvc_commands(root)):
        return Finding("locks", "note", f"DVC is at work: {', '.join(commands)}")
    return Finding("locks", "ok", "no flow and no DVC command is at work")


def look_at_cache(root: Path) -> Finding:
    """See whether DVC's cache still holds the outputs byte for byte, which DVC itself does not look at."""
    try:
        damaged = damaged_in_cache(root)
    except StoreError as error:
        return Finding("cache", "fault", str(error))
    if not damaged:
        return Finding("cache", "ok", "every output in DVC's cache is whole")
    files = " ".join(f"{name} {os.path.relpath(kept, root)}" for name, kept in damaged.items())
    told = f"damaged: {', '.join(damaged)}. Delete both copies and make them again: `rm -f {files}`, then `dvc repro`"
    return Finding("cache", "fault", told)


def look_at_store(root: Path, tracking: TrackingConfig) -> Finding:
    """See whether the MLflow store answers."""
    from atnet.tracking.store import open_store

    try:
        return Finding("MLflow", "ok", f"{redact(open_store(tracking, root).uri)} answers")
    except StoreError as error:
        return Finding("MLflow", "fault", str(error))


def look_at_environment(root: Path) -> Finding:
    """Name the settings of other projects and tools that this process ignores or uses."""
    notes = environment_notes(root)
    if not notes:
        return Finding("settings", "ok", "no variable of another project or tool is set")
    return Finding("settings", "note", "; ".join(notes))


def look_at_prefect(address: str) -> Iterator[Finding]:
    """See whether scheduled flows will start: a run nobody picks up stays Late for ever."""
    try:
        deployments = _ask(address, "deployments/filter", {})
        pools = _ask(address, "work_pools/filter", {})
        late = _ask(address, "flow_runs/filter", {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}})
    except (urllib.error.URLError, OSError, ValueError):
        yield Finding(
            "Prefect", "note", f"no server at {redact(address)}; schedules run only while `make schedule` does"
        )
        return
    yield Finding("Prefect", "ok", f"{redact(address)} answers; deployments: {len(deployments)}")
    # A deployment seen a moment ago still counts as ready; its pool knows better.
    idle = {pool["name"] for pool in pools if pool.get("status") != "READY"}
    for deployment in deployments:
        if deployment.get("status") != "READY" or deployment.get("work_pool_name") in idle:
            yield Finding("Prefect", "fault", _unserved(deployment))
    if late:
        yield Finding("Prefect", "fault", f"{len(late)} runs are Late: nothing picks them up. Start `make schedule`.")


def _unserved(deployment: dict[str, Any]) -> str:
    name, pool = deployment["name"], deployment.get("work_pool_name")
    start = f"`prefect worker start --pool {pool}`" if pool else "`make schedule`"
    return f"nothing serves the deployment {name}: its runs will stay Late. Start {start}."


def _ask(address: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        answer: list[dict[str, Any]] = json.load(response)
        return answer


def _dvc_commands(root: Path) -> set[str]:
    try:
        held = json.loads((root / ".dvc" / "tmp" / "rwlock").read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError):
        return set()
    holders = [one for entry in held.values() for one in (*entry.get("read", []), entry.get("write"))]
    return {f"{one['cmd']} (process {one['pid']})" for one in holders if one and is_alive(int(one["pid"]))}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
