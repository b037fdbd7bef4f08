"""Scoring killed at random moments and started again: every row is scored once, in files and in SQL tables."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from atnet.scoring.sql_tables import open_table
from tests.postgresql import postgresql
from tests.projects import change_params
from tests.scoringproject import local_model, write_csv, write_project

pytestmark = pytest.mark.slow

KILLS = 30
PARTITIONS, ROWS = 12, 1500
SEED = 12
KILLED_AT_STARTUP = 0.2
"""Share of the runs that are killed before they know what is pending."""
PROGRAM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from atnet.inference import model_hash
from atnet.published_model import MODEL_FOLDER
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.options import ScoringOptions, scoring_job
from atnet.scoring.score import find_pending, score_pending

root, source, target = Path(sys.argv[1]), *sys.argv[2:]
files = root / "model"
model = ScoringModel("atnet", 1, model_hash(files / MODEL_FOLDER), files)
job = scoring_job(source, target, ScoringOptions(), root)
plan = find_pending(job, model_sha256=None)
print("pending", len(plan.pending), flush=True)
if plan.pending:
    outcome = score_pending(job, plan, model, now=datetime.now(UTC))
    sys.exit(1 if outcome.failed else 0)
"""


@dataclass(frozen=True, slots=True)
class Story:
    """One input, one output, and what the output contained."""

    root: Path
    source: str
    target: str
    scored_ids: Callable[[], list[str]]

    def start(self) -> "subprocess.Popen[str]":
        """Start to score; the process prints how many partitions are pending."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", PROGRAM, str(self.root), self.source, self.target]
        return subprocess.Popen(command, cwd=self.root, stdout=subprocess.PIPE, text=True, env=environment)

    def finish(self) -> int:
        """Score to the end and return how many partitions were pending."""
        with self.start() as process:
            assert process.stdout is not None
            line = process.stdout.readline()
        assert process.returncode == 0
        return int(line.split()[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = write_project(tmp_path)
    change_params(root / "params.yaml", {"score": {"chunk_rows": 250}})
    local_model(root / "model")
    return root


def partitions(root: Path) -> list[str]:
    """Write the partitions and return all their ids in order."""
    names = [f"2026-11-{day:02}" for day in range(1, PARTITIONS + 1)]
    return [name for day in names for name in write_csv(root / "in" / f"{day}.csv", ROWS)]


def kill_at_random_moments(story: Story, kills: int) -> list[int]:
    """Kill the run so often, start it again each time, and return how many partitions were pending at each start."""
    rng = random.Random(SEED)
    startup_seconds, work_seconds = _measure(story)
    pending = []
    for _ in range(kills):
        with story.start() as process:
            assert process.stdout is not None
            if rng.random() < KILLED_AT_STARTUP:
                time.sleep(rng.uniform(0, startup_seconds))
            else:
                # The delay counts from here, so that a busy machine does not turn every kill into one at startup.
                pending.append(int(process.stdout.readline().split()[1]))
                time.sleep(rng.uniform(0, work_seconds))
            process.send_signal(signal.SIGKILL)
        if pending and pending[-1] == 0:
            _remove_some(story, rng)
    return pending


def _measure(story: Story) -> tuple[float, float]:
    """Score everything; return the seconds until the number of pending partitions is known, and those after it."""
    began = time.monotonic()
    with story.start() as process:
        assert process.stdout is not None
        process.stdout.readline()
        listed = time.monotonic()
    assert process.returncode == 0
    return listed - began, time.monotonic() - listed


def _remove_some(story: Story, rng: random.Random) -> None:
    """Change half of the inputs when all of them have been scored, so that there is something to do again."""
    for path in rng.sample(sorted((story.root / "in").glob("*.csv")), PARTITIONS // 2):
        path.write_text(path.read_text() + "\n" * rng.randint(1, 9))


def files(root: Path) -> Story:
    def scored() -> list[str]:
        outputs = sorted((root / "scored").glob("[!_.]*.parquet"))
        return [name for path in outputs for name in pq.read_table(path)["id"].to_pylist()]

    return Story(root, "in", "scored", scored)


def table(root: Path, url: str) -> Story:
    def scored() -> list[str]:
        engine = open_table(f"{url}::scored").engine
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT id FROM scored ORDER BY partition, row"))
            ids = [row[0] for row in rows]
        engine.dispose()
        return ids

    return Story(root, "in", f"{url}::scored", scored)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.mark.parametrize(("target", "kills"), [("files", KILLS), ("sqlite", 10), ("postgresql", 10)])
def test_every_row_is_scored_once_whenever_the_run_is_killed(
    root: Path, target: str, kills: int, request: pytest.FixtureRequest
) -> None:
    if target == "files":
        story = files(root)
    elif target == "sqlite":
        story = table(root, f"sqlite:///{root}/scored.db")
    else:
        story = table(root, request.getfixturevalue("server"))
    ids = partitions(root)
    pending = kill_at_random_moments(story, kills)
    # The kills hit runs at work, not only finished ones.
    assert sum(number > 0 for number in pending) >= kills // 3
    story.finish()
    assert story.scored_ids() == ids
    assert story.finish() == 0
    assert list(root.rglob("*.part")) == []
