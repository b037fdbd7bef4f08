"""A long run: mixed load with the longest texts, promotions and rollbacks, and the memory of every process over it.

python -m benchmarks.serving_soak --minutes 30 [--promote-seconds 5] [--max-length 2048]

Ends with exit code 1 if a request failed, a prediction was not that of the version it names, or memory grew.
"""

import argparse
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pandas as pd

from atnet.config import parse_params
from atnet.files import MODEL, split_table
from atnet.inference import Predictor
from atnet.registry import versions
from atnet.registry.versions import CHAMPION, open_registry
from atnet.storage import load_params
from benchmarks.measure import machine, markdown_table, system_load
from benchmarks.serving_load import resident_megabytes
from benchmarks.serving_project import LONGEST, register, release_model
from benchmarks.serving_servers import ROOT, Running, Server, started

CLIENTS = 4
KINDS = ("probe", "single", "list", "explain", "longest", "bad", "leaves")
WEIGHTS = (8, 8, 4, 2, 1, 1, 1)
PROBE = "The acting is wonderful but the story is dull."
GROWTH = 1.05
"""Largest allowed ratio of the memory in the last third to that in the second."""


@dataclass(slots=True)
class Soak:
    """What the clients share."""

    address: str
    texts: list[str]
    expected: Mapping[int, float]
    """Version -> its score of the probe."""
    stop: threading.Event = field(default_factory=threading.Event)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def main() -> None:
    """Run the soak and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--promote-seconds", type=float, default=5.0, help="0: never")
    parser.add_argument("--max-length", type=int, default=2048, help="tokens per text that the model reads")
    parser.add_argument("--service-python", default=sys.executable)
    options = parser.parse_args()
    texts = pd.read_parquet(split_table("test"))["text"].tolist()
    print(f"{machine()}; {system_load()}\n")
    with tempfile.TemporaryDirectory() as temporary:
        project = release_model(Path(temporary), MODEL, max_length=options.max_length)
        expected = _two_versions(project)
        command = [options.service_python, "-m", "atnet.cli", "serve", "--port", "{port}", "--workers", "{workers}"]
        server = Server("atnet serve", command, "/ready", "/v1/predict", {"PYTHONPATH": str(ROOT / "src")})
        with started(server, project, options.workers) as running:
            soak = Soak(running.address, texts, expected)
            memory, promotions = _run(soak, running, project, options)
    sys.exit(_report(soak, memory, promotions))


def _two_versions(project: Path) -> dict[int, float]:
    """Register the model and a copy with another temperature; return each version's score of the probe."""
    _poll_quickly(project)
    cooler = project / "cooler"
    (project / "model").rename(cooler)
    scores = {1: float(Predictor.load(cooler).predict([PROBE]).scores[0])}
    for path in cooler.glob("*.json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict) and "temperature" in value:
            path.write_text(json.dumps({**value, "temperature": 2 * value["temperature"]}), encoding="utf-8")
    version = register(project, cooler)
    scores[version.number] = float(Predictor.load(cooler).predict([PROBE]).scores[0])
    return scores


def _poll_quickly(project: Path) -> None:
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    seconds = parse_params(text).serve.poll_seconds
    path.write_text(text.replace(f"poll_seconds: {seconds}", "poll_seconds: 1.0"), encoding="utf-8")


def _run(
    soak: Soak, running: Running, project: Path, options: argparse.Namespace
) -> tuple[dict[str, list[float]], int]:
    """Load the service, promote in turn, and record the memory of its processes every few seconds."""
    registry = open_registry(load_params(project / "params.yaml").tracking, project)
    clients = [threading.Thread(target=_client, args=(soak, seed)) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    memory: dict[str, list[float]] = {}
    turn, promotions = itertools.cycle(soak.expected), 0
    end, next_promotion = time.monotonic() + 60 * options.minutes, time.monotonic()
    while time.monotonic() < end and not soak.stop.is_set():
        if options.promote_seconds and time.monotonic() >= next_promotion:
            versions.set_alias(registry, CHAMPION, next(turn))
            promotions += 1
            next_promotion = time.monotonic() + options.promote_seconds
        for name, megabytes in resident_megabytes(running.process).items():
            memory.setdefault(name, []).append(megabytes)
        time.sleep(2)
    soak.stop.set()
    for client in clients:
        client.join()
    return memory, promotions


def _client(soak: Soak, seed: int) -> None:
    rng = random.Random(seed)
    with httpx.Client(base_url=soak.address, timeout=60) as client:
        while not soak.stop.is_set():
            (kind,) = rng.choices(KINDS, WEIGHTS)
            try:
                _send(soak, client, kind, rng)
            except httpx.ReadTimeout:
                if kind != "leaves":
                    soak.failures.append(f"{kind}: no answer")
            except httpx.HTTPError as error:
                soak.failures.append(f"{kind}: {error!r}")
            soak.answers[kind] += 1


def _send(soak: Soak, client: httpx.Client, kind: str, rng: random.Random) -> None:
    bodies = {
        "probe": {"texts": [PROBE] * 20},
        "single": {"text": rng.choice(soak.texts)},
        "list": {"texts": rng.choices(soak.texts, k=32)},
        "explain": {"text": rng.choice(soak.texts), "explain": True},
        "longest": {"texts": LONGEST[:8]},
        "bad": {"texts": [None]},
        "leaves": {"texts": LONGEST[:8]},
    }
    timeout = 0.01 if kind == "leaves" else 60
    answer = client.post("/v1/predict", json=bodies[kind], timeout=timeout)
    if answer.status_code != (422 if kind == "bad" else 200):
        # 429 and 503 are the right responses to overload.
        if answer.status_code not in (429, 503):
            soak.failures.append(f"{kind}: {answer.status_code} {answer.text[:200]}")
        soak.answers[f"refused with {answer.status_code}"] += 1
    elif kind == "probe":
        body = answer.json()
        scores = {prediction["score"] for prediction in body["predictions"]}
        if any(abs(score - soak.expected[body["model"]["version"]]) > 1e-5 for score in scores):
            soak.failures.append(f"version {body['model']['version']} answered {scores}")


def _report(soak: Soak, memory: dict[str, list[float]], promotions: int) -> int:
    """Print the run; return the exit code."""
    grew = False
    rows = []
    for name, values in memory.items():
        if len(values) < 9:
            continue
        third = len(values) // 3
        parts = [max(values[:third]), max(values[third : 2 * third]), max(values[2 * third :])]
        grew = grew or parts[2] > GROWTH * parts[1] + 2
        rows.append([name, *(f"{part:.0f}" for part in parts)])
    print(markdown_table(["process: most resident memory (MB)", "first third", "second third", "last third"], rows))
    print(f"\n{promotions} promotions and rollbacks; requests: {dict(soak.answers)}")
    print(f"failures: {len(soak.failures)}; {soak.failures[:5]}")
    return 1 if soak.failures or grew else 0


if __name__ == "__main__":
    main()
