"""Load from `wrk` (Debian package wrk) and what a server costs meanwhile."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = """
local bodies, place = {}, 0
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
local mean = tonumber(os.getenv("PAUSE_MS"))
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  place = place % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[place])
end
if mean > 0 then
  function delay() return -mean * math.log(1 - math.random()) end
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests": %d, "us": %d, "failed": %d, "p50_us": %f, "p99_us": %f}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under load."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_ms: float
    """Of the server's processes together, per request; says more than the rate where the machine does other work."""


def run_load(
    address: str,
    bodies: Sequence[Any],
    process: int,
    *,
    connections: int,
    seconds: float,
    requests_per_second: float | None = None,
) -> Load:
    """Post bodies in turn over keep-alive connections.

    Args:
        address: of the path that is posted to.
        bodies: values that are sent as JSON.
        process: of the server.
        connections: each sends its next request when the last is answered.
        seconds: how long.
        requests_per_second: pause between requests for about as many together, exponentially distributed; None: as
            many as the server takes.

    Raises:
        SystemExit: if wrk is missing or fails.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed. On Debian and Ubuntu: apt install wrk")
    pause = 1000 * connections / requests_per_second if requests_per_second else 0.0
    with tempfile.TemporaryDirectory() as folder:
        script, lines = Path(folder, "post.lua"), Path(folder, "bodies")
        script.write_text(SCRIPT)
        lines.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds:.0f}s",
            "--timeout",
            "30s",
            "-s",
            str(script),
            address,
        ]
        environment = {**os.environ, "BODIES": str(lines), "PAUSE_MS": str(pause)}
        before = cpu_seconds(process)
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        spent = cpu_seconds(process) - before
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not results:
        raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
    return _load(json.loads(results[0].removeprefix("RESULT ")), spent)


def _load(values: dict[str, float], cpu: float) -> Load:
    return Load(
        requests_per_second=values["requests"] / values["us"] * 1e6,
        p50_ms=values["p50_us"] / 1000,
        p99_ms=values["p99_us"] / 1000,
        failed=int(values["failed"]),
        cpu_ms=1000 * cpu / max(values["requests"], 1),
    )


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process and all below it."""
    ticks = 0
    for member in _tree(process):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_megabytes(process: int) -> float:
    """Return the memory of a process and all below it in units of 10^6 bytes, shared pages counted once."""
    return sum(map(_pss, _tree(process))) / 1e6


def resident_megabytes(process: int) -> dict[str, float]:
    """Return the resident memory of each process below one, in units of 10^6 bytes, by its module and id."""
    memory = {}
    for member in _tree(process):
        with contextlib.suppress(OSError, ValueError):
            command = Path(f"/proc/{member}/cmdline").read_bytes().split(b"\0")
            module = command[command.index(b"-m") + 1].decode()
            pages = int(Path(f"/proc/{member}/statm").read_text().split()[1])
            memory[f"{module} {member}"] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return memory


def _tree(process: int) -> list[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    members = [process]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def _pss(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
