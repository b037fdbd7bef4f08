"""The scoring processes: order, what happens when one dies, and that none is left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from atnet.errors import ModelError, ProcessInterrupted
from atnet.published_model import MODEL_FOLDER
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.score import worker_job
from atnet.scoring.scoring_pool import ScoringPool, scoring_pool
from atnet.scoring.text_batches import TEXTS, chunked
from atnet.subprocesses import is_alive
from tests.scoringproject import NOW, job, local_model, write_project
from tests.servers import wait_until


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    return local_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def pool(tmp_path: Path, model: ScoringModel) -> Iterator[ScoringPool]:
    with scoring_pool(2, worker_job(job(write_project(tmp_path), "in", "out"), model, NOW)) as pool:
        yield pool


def rows(count: int, *, text: str = "good") -> pa.RecordBatch:
    numbers = range(1, count + 1)
    return pa.record_batch([list(numbers), [str(n) for n in numbers], [f"{text} {n}" for n in numbers]], schema=TEXTS)


def gone(process_id: int) -> bool:
    """Return whether a child has ended; one that nobody has waited for is a zombie."""
    return not is_alive(process_id) or "Z" in Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]


def test_results_come_in_the_order_of_the_chunks_from_two_processes(pool: ScoringPool) -> None:
    batches = list(pool.score(chunked([rows(1000), rows(77)], 10)))
    assert [batch.num_rows for batch in batches] == [10] * 107 + [7]
    assert [row for batch in batches for row in batch["row"].to_pylist()] == [*range(1, 1001), *range(1, 78)]
    assert len(pool.process_ids()) == 2
    # The same processes score the next partition.
    before = pool.process_ids()
    assert sum(batch.num_rows for batch in pool.score(chunked([rows(30)], 10))) == 30
    assert pool.process_ids() == before


@pytest.mark.slow
def test_a_process_that_is_killed_is_reported_and_none_is_left_behind(pool: ScoringPool) -> None:
    results = pool.score(chunked([rows(1000)], 10))
    next(results)
    ids = pool.process_ids()
    os.kill(ids[0], signal.SIGKILL)
    with pytest.raises(ProcessInterrupted, match="killed by SIGKILL"):
        list(results)
    assert all(gone(process_id) for process_id in ids)
    # The next partition starts new ones, and gets its own results.
    assert [batch["row"].to_pylist() for batch in pool.score(chunked([rows(3)], 10))] == [[1, 2, 3]]


def test_a_reader_that_gives_up_leaves_no_results_to_the_next_one(pool: ScoringPool) -> None:
    results = pool.score(chunked([rows(1000)], 10))
    next(results)
    results.close()
    assert [batch["id"].to_pylist() for batch in pool.score(chunked([rows(2)], 10))] == [["1", "2"]]


def test_a_model_that_cannot_be_loaded_is_reported_in_one_line(tmp_path: Path) -> None:
    model = local_model(tmp_path / "model")
    (model.folder / MODEL_FOLDER / "model.onnx").write_bytes(b"damaged")
    write_project(tmp_path)
    with (
        scoring_pool(1, worker_job(job(tmp_path, "in", "out"), model, datetime.now(UTC))) as pool,
        pytest.raises(ModelError, match=r"model\.onnx cannot be used") as refused,
    ):
        list(pool.score([rows(2)]))
    assert "\n" not in str(refused.value)


def test_chunks_are_bounded_in_rows_and_in_bytes() -> None:
    assert [chunk.num_rows for chunk in chunked([rows(25)], 10)] == [10, 10, 5]
    long = rows(10, text="x" * 1_000_000)
    sizes = [chunk.num_rows for chunk in chunked([long], 10)]
    assert sum(sizes) == 10
    assert max(sizes) == 4
    texts = [text for chunk in chunked([long], 10) for text in chunk["text"].to_pylist()]
    assert texts == long["text"].to_pylist()


PARENT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from atnet.scoring.text_batches import chunked
from atnet.scoring.score import worker_job
from atnet.scoring.scoring_pool import scoring_pool
from tests.scoringproject import job, local_model
from tests.test_scoring_workers import rows

root = Path(sys.argv[1])
with scoring_pool(2, worker_job(job(root, "in", "out"), local_model(root / "model"), datetime.now(UTC))) as pool:
    results = pool.score(chunked(iter(lambda: rows(100), None), 10))
    for _ in range(20):
        next(results)
    print(*pool.process_ids(), flush=True)
    for _ in results:
        pass
"""


@pytest.mark.slow
def test_the_processes_end_with_their_parent(tmp_path: Path) -> None:
    write_project(tmp_path)
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        children = [int(number) for number in parent.stdout.readline().split()]
        parent.kill()
    assert len(children) == 2
    wait_until(lambda: all(gone(child) for child in children), seconds=20)


def test_a_worker_needs_nothing_heavy(tmp_path: Path) -> None:
    local_model(tmp_path)
    code = (
        "import sys, pyarrow as pa\n"
        "from atnet.scoring.score_worker import BlockPandas, Scorer, WorkerJob\n"
        "sys.meta_path.insert(0, BlockPandas())\n"
        "checks = [{'name': 'words', 'measure': 'words', 'min_value': 1, 'max_value': None}]\n"
        "job = WorkerJob(sys.argv[1], 1, 'x', '2026-11-25T00:00:00+00:00', 2, True, checks)\n"
        "columns = {'row': pa.array([1, 2]), 'id': pa.array(['a', 'b']), 'text': pa.array(['good', ''])}\n"
        "chunk = pa.record_batch(columns)\n"
        "assert Scorer(job).score(chunk)['reasons'].to_pylist() == [None, 'words']\n"
        "heavy = {'pandas', 'mlflow', 'sqlalchemy', 'tensorflow', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
