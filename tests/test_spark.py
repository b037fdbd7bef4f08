"""The engine `spark`: the same files as the engine `local`, from local[2] and from a master with two workers."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from atnet import spark_engine
from atnet.batch_engine import open_engine
from atnet.config import EngineConfig
from atnet.data import delimited
from atnet.diagnosis.machine import check_engine
from atnet.errors import ConfigurationError, ProcessInterrupted
from atnet.files import SPILL
from tests.scoringproject import job, local_model, run, score_in_process, write_csv, write_project
from tests.servers import free_port, wait_until
from tests.test_row_batches import run_stages

needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or not spark_engine.has_java(),
    reason="PySpark (requirements-spark.lock) or Java is not installed",
)
LOCAL = EngineConfig(kind="local", master=None, folder=None)
SPARK = EngineConfig(kind="spark", master="local[2]", folder=None)


def test_missing_pyspark_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"PySpark is missing.*requirements-spark\.lock"):
        spark_engine.require_spark()


def test_missing_java_is_named_by_doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = check_engine(SPARK)
    assert finding.is_fault
    assert "Java is missing. Install Java 17 or later" in finding.message
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert check_engine(SPARK).is_fault
    assert not check_engine(LOCAL).is_fault


def test_the_local_engine_calls_the_function_in_this_process(tmp_path: Path) -> None:
    with open_engine(LOCAL, tmp_path) as mapper:
        assert list(mapper(lambda item: (item, os.getpid()), [1, 2])) == [(1, os.getpid()), (2, os.getpid())]


def assert_same_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, master: str) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 3000)
    local = run_stages(tmp_path / "local", kind="local")
    spark = run_stages(tmp_path / "spark", kind="spark", master=master)
    assert len(local) > 15
    assert [name for name in local if spark.get(name) != local[name]] == []
    assert list((tmp_path / "spark" / SPILL).iterdir()) == []


def assert_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, master: str) -> None:
    root = write_project(tmp_path / "scores")
    write_csv(root / "in.csv", 500)
    model = local_model(root / "version")
    with monkeypatch.context() as context:
        score_in_process(context)
        assert not run(job(root, "in.csv", "local.parquet"), model).failed
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["engine"] |= {"kind": "spark", "master": master}
    params["score"]["chunk_rows"] = 60
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    assert not run(job(root, "in.csv", "spark.parquet"), model).failed
    local, spark = (pq.read_table(root / f"{name}.parquet").drop_columns(["time"]) for name in ("local", "spark"))
    assert local.num_rows == 500
    assert spark.drop_columns(["score", "probabilities"]).equals(local.drop_columns(["score", "probabilities"]))
    assert max(abs(a - b) for a, b in zip(spark["score"].to_pylist(), local["score"].to_pylist(), strict=True)) < 1e-6
    assert list((root / SPILL).iterdir()) == []


@needs_spark
@pytest.mark.slow
def test_spark_writes_the_same_files_as_the_local_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_stages(tmp_path, monkeypatch, "local[2]")


@needs_spark
@pytest.mark.slow
def test_spark_scores_as_the_local_engine_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_scores(tmp_path, monkeypatch, "local[2]")


@needs_spark
@pytest.mark.slow
def test_a_failing_worker_is_one_message_and_leaves_no_files(tmp_path: Path) -> None:
    with open_engine(SPARK, tmp_path) as mapper, pytest.raises(ProcessInterrupted, match="Spark could not finish: "):
        list(mapper(len, [1, 2]))
    assert list((tmp_path / SPILL).iterdir()) == []


@contextlib.contextmanager
def standalone_cluster(folder: Path) -> Iterator[str]:
    """Start a Spark master and two workers on this machine and yield the address of the master."""
    import pyspark

    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-class")]
    address = f"spark://127.0.0.1:{(port := free_port())}"
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
    worker = ["org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "1200m", "--webui-port", "0"]
    log = (folder / "master.log").open("wb")
    with contextlib.ExitStack() as stack:
        stack.callback(log.close)

        def start(arguments: list[str], **options: Any) -> None:
            process = subprocess.Popen([*command, *arguments], env=environment, cwd=folder, **options)
            stack.callback(process.wait)
            stack.callback(process.kill)

        start(master, stdout=log, stderr=log)
        for number in range(2):
            work = [*worker, "--work-dir", str(folder / f"worker-{number}"), address]
            start(work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: (folder / "master.log").read_bytes().count(b"Registering worker") == 2, seconds=120)
        yield address


@needs_spark
@pytest.mark.slow
def test_a_master_with_two_workers_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    with standalone_cluster(tmp_path) as master:
        assert_same_stages(tmp_path, monkeypatch, master)
        assert_same_scores(tmp_path, monkeypatch, master)
