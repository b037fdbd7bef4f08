"""`atnet serve` against `mlflow models serve`, and LitServe if it is installed, on the same model and texts.

python -m benchmarks.serving [--workers 2] [--litserve-python PATH] [--service-python PATH]
"""

import argparse
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pandas as pd

from atnet.files import MODEL, split_table
from benchmarks.measure import machine, markdown_table, system_load, versions
from benchmarks.serving_load import Load, memory_megabytes, run_load
from benchmarks.serving_project import LONGEST, release_model
from benchmarks.serving_servers import Running, Server, servers, started

LIST = 32
PACED = 0.8
"""Share of the top load at which latency is measured."""
PACED_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Round:
    """One run of one server."""

    start_seconds: float
    single: Load
    paced: Load
    lists: Load
    explained: Load | None
    memory: float
    memory_after_longest: float


def main() -> None:
    """Compare the servers and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--service-python", default=sys.executable, help="interpreter of the service's environment")
    parser.add_argument("--litserve-python", help="interpreter of an environment with litserve")
    options = parser.parse_args()
    texts = pd.read_parquet(split_table("test"))["text"].head(1024).tolist()
    print(f"{machine()}; {system_load()}; {versions('uvicorn', 'starlette', 'onnxruntime', 'mlflow')}\n")
    with tempfile.TemporaryDirectory() as temporary:
        project = release_model(Path(temporary), MODEL)
        compared = servers(project, MODEL.resolve(), options.service_python, options.litserve_python)
        for server in compared:
            # The first start downloads the model; the timed ones find its copy.
            with started(server, project, options.workers) as running:
                print(f"first start of {server.name}: {running.start_seconds:.1f} s", file=sys.stderr)
        rounds: dict[str, list[Round]] = {server.name: [] for server in compared}
        for number in range(options.rounds):
            # A different one begins each round, so that other work of the machine does not always hit the same one.
            for server in [*compared[number % len(compared) :], *compared[: number % len(compared)]]:
                rounds[server.name].append(_measure(server, project, texts, options))
                print(f"round {number + 1}: {server.name} done", file=sys.stderr)
    _report(rounds)


def _measure(server: Server, folder: Path, texts: Sequence[str], options: argparse.Namespace) -> Round:
    with started(server, folder, options.workers) as running:
        address = running.address + server.predict
        single = [server.body([text]) for text in texts]
        lists = [server.body(texts[row : row + LIST]) for row in range(0, len(texts) - LIST, LIST)]
        run_load(address, single, running.process, connections=options.connections, seconds=1)

        def load(bodies: Sequence[object]) -> Load:
            return run_load(address, bodies, running.process, connections=options.connections, seconds=options.seconds)

        top = load(single)
        paced = run_load(
            address,
            single,
            running.process,
            connections=PACED_CONNECTIONS,
            seconds=options.seconds,
            requests_per_second=PACED * top.requests_per_second,
        )
        of_lists = load(lists)
        explained = load([server.body([text], explain=True) for text in texts]) if server.explains else None
        memory = memory_megabytes(running.process)
        _post(running, server, LONGEST)
        return Round(running.start_seconds, top, paced, of_lists, explained, memory, memory_megabytes(running.process))


def _post(running: Running, server: Server, texts: Sequence[str]) -> None:
    for _ in range(4):
        request = urllib.request.Request(
            running.address + server.predict, orjson.dumps(server.body(texts)), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            response.read()


def _report(rounds: dict[str, list[Round]]) -> None:
    header = ["server", "texts/s", "p50 (ms)", "p99 (ms)", f"p99 at {PACED:.0%} (ms)", f"texts/s in lists of {LIST}"]
    header += ["explained/s", "start (s)", "memory (MB)", "after the longest texts (MB)", "failed"]
    print(markdown_table(header, [_row(name, measured) for name, measured in rounds.items()]))
    print()
    header = ["CPU time per text (ms)", "single", f"in lists of {LIST}", "explained"]
    print(markdown_table(header, [_cpu_row(name, measured) for name, measured in rounds.items()]))
    (first, base), *others = rounds.items()
    for name, measured in others:
        pairs = list(zip(base, measured, strict=True))
        rate = _median([a.single.requests_per_second / b.single.requests_per_second for a, b in pairs])
        lists = _median([a.lists.requests_per_second / b.lists.requests_per_second for a, b in pairs])
        cpu = _median([b.single.cpu_ms / a.single.cpu_ms for a, b in pairs])
        print(
            f"\n{first} predicts {rate:.1f} times the single texts of {name} per second and {lists:.1f} times its "
            f"texts in lists; {name} spends {cpu:.1f} times the CPU time on a single text."
        )


def _row(name: str, measured: Sequence[Round]) -> list[str]:
    explained = [run.explained.requests_per_second for run in measured if run.explained]
    return [
        name,
        f"{_median([run.single.requests_per_second for run in measured]):,.0f}",
        f"{_median([run.single.p50_ms for run in measured]):.1f}",
        f"{_median([run.single.p99_ms for run in measured]):.1f}",
        f"{_median([run.paced.p99_ms for run in measured]):.1f}",
        f"{LIST * _median([run.lists.requests_per_second for run in measured]):,.0f}",
        f"{_median(explained):,.0f}" if explained else "",
        f"{_median([run.start_seconds for run in measured]):.1f}",
        f"{_median([run.memory for run in measured]):.0f}",
        f"{_median([run.memory_after_longest for run in measured]):.0f}",
        str(sum(run.single.failed + run.paced.failed + run.lists.failed for run in measured)),
    ]


def _cpu_row(name: str, measured: Sequence[Round]) -> list[str]:
    explained = [run.explained.cpu_ms for run in measured if run.explained]
    return [
        name,
        f"{_median([run.single.cpu_ms for run in measured]):.2f}",
        f"{_median([run.lists.cpu_ms for run in measured]) / LIST:.2f}",
        f"{_median(explained):.2f}" if explained else "",
    ]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
