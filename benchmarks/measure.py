"""Measure a command's wall time, CPU time and peak memory; describe the machine; format Markdown tables."""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
cost = dict(seconds=time.perf_counter() - started, cpu_seconds=usage.ru_utime + usage.ru_stime)
cost["peak_bytes"] = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
with open(sys.argv[1], "w") as file:
    json.dump(cost, file)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts the command: a process reports at least the peak memory of the one that starts it, so this one is small."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a command cost."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """Of all threads: more than the wall time if cores work in parallel, less if the machine is busy."""
    peak_bytes: int
    """Largest resident memory of any one process among the command and its children."""
    output: str
    """Standard output and standard error."""

    @property
    def peak_megabytes(self) -> float:
        """Return the peak in units of 10^6 bytes."""
        return self.peak_bytes / 1e6


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Measurement:
    """Run a command to its end and measure it.

    Raises:
        SystemExit: with the command's output, if it fails.
    """
    with tempfile.NamedTemporaryFile("r", prefix="atnet-measure-", suffix=".json") as record:
        finished = subprocess.run(
            [sys.executable, "-IS", "-c", LAUNCHER, record.name, *command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if finished.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with exit code {finished.returncode}:\n{finished.stdout}")
        return Measurement(**json.load(record), output=finished.stdout)


def machine() -> str:
    """Describe the machine in one line: processor, usable cores, memory, system, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def system_load() -> str:
    """Describe how busy the machine was: the load of the last minute."""
    return f"load before the run: {os.getloadavg()[0]:.1f}"


def versions(*packages: str) -> str:
    """List the versions of packages; those not installed are omitted."""
    installed = []
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(installed)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Format a Markdown table; the first `left` columns are left-aligned, the others right-aligned."""
    lines = [header, [*["---"] * left, *["---:"] * (len(header) - left)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
