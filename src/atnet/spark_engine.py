"""Map functions over batches on Spark.

Batches and results are files of a folder that every Spark worker can read and write: on one machine any folder, on a
cluster a shared file system. Spark's own rows are only their numbers, so that its driver needs no memory for the data.
"""

import contextlib
import importlib.util
import logging
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

import atnet
from atnet.config import EngineConfig
from atnet.errors import ConfigurationError, ProcessInterrupted

Item = TypeVar("Item")
Result = TypeVar("Result")

INSTALL_PYSPARK = (
    "`pip install --require-hashes -r requirements-spark.lock` installs it; engine.kind: local needs none."
)
INSTALL_JAVA = (
    "Install Java 17 or later (on Debian and Ubuntu: apt install openjdk-17-jre-headless) or set JAVA_HOME, "
    "or set engine.kind: local."
)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Spark runs a worker process on each core."""
SCHEMA = "number long"


class SparkMapper:
    """Calls functions on the workers of a Spark session."""

    def __init__(self, session: Any, folder: Path) -> None:
        self._session, self._folder = session, folder
        self._calls = 0

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Call the function with each item on some worker and yield the results in the order of the items.

        Raises:
            ProcessInterrupted: if a worker fails, with the first line of the reason.
        """
        self._calls += 1
        folder = self._folder / f"call-{self._calls}"
        folder.mkdir()
        count = 0
        for item in items:
            _item_path(folder, count).write_bytes(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
            count += 1
        if count == 0:
            return
        self._run(partial(_run_numbers, function=function, folder=str(folder)), count)
        for number in range(count):
            path = _result_path(folder, number)
            result: Result = pickle.loads(path.read_bytes())
            path.unlink()
            yield result
        shutil.rmtree(folder)

    def _run(self, function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], count: int) -> None:
        # One task for each item: a task that fails is repeated alone.
        numbers = self._session.range(count, numPartitions=count).toDF("number")
        try:
            done = numbers.mapInArrow(function, SCHEMA).count()
        # Spark wraps whatever a worker raises, with the traceback as its message.
        except self._session_errors() as error:
            reason = [line for line in str(error).splitlines() if "Error" in line or "Exception" in line]
            raise ProcessInterrupted(f"Spark could not finish: {(reason or [str(error)])[-1].strip()}") from error
        assert done == count

    @staticmethod
    def _session_errors() -> tuple[type[Exception], ...]:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        return (PySparkException, Py4JError)


def _run_numbers(
    batches: Iterator[pa.RecordBatch], *, function: Callable[[Any], Any], folder: str
) -> Iterator[pa.RecordBatch]:
    """Run on a worker: call the function with the items of these numbers."""
    for batch in batches:
        for number in batch["number"].to_pylist():
            item = pickle.loads(_item_path(Path(folder), number).read_bytes())
            partial_path = _result_path(Path(folder), number).with_suffix(f".{os.getpid()}")
            partial_path.write_bytes(pickle.dumps(function(item), pickle.HIGHEST_PROTOCOL))
            # A second attempt of the same task replaces the result as a whole.
            os.replace(partial_path, _result_path(Path(folder), number))
        yield batch


@contextlib.contextmanager
def spark_mapper(config: EngineConfig, folder: Path) -> Iterator[SparkMapper]:
    """Start a Spark session, ship this package to its workers and yield a mapper.

    Args:
        config: names the master; null leaves it to Spark's own configuration.
        folder: an empty folder that every worker can read and write under this path.

    Raises:
        ConfigurationError: if PySpark or Java is missing.
    """
    require_spark()
    # Here only: PySpark is an extra.
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("atnet").config("spark.ui.showConsoleProgress", "false")
    if config.master is not None:
        builder = builder.master(config.master)
    # Where the workers have another Python, PYSPARK_PYTHON names it.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    for name, value in ONE_THREAD.items():
        builder = builder.config(f"spark.executorEnv.{name}", value)
    session = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    logging.getLogger("py4j").setLevel(logging.ERROR)
    try:
        session.sparkContext.addPyFile(str(_package_archive(folder)))
        yield SparkMapper(session, folder)
    finally:
        session.stop()


def require_spark() -> None:
    """Check that PySpark and Java are there.

    Raises:
        ConfigurationError: with the command that installs what is missing.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise ConfigurationError(f"engine.kind is spark, but PySpark is missing. {INSTALL_PYSPARK}")
    if not has_java():
        raise ConfigurationError(f"engine.kind is spark, but Java is missing. {INSTALL_JAVA}")


def has_java() -> bool:
    """Return whether Java can be run."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None:
        return False
    try:
        return subprocess.run([java, "-version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _package_archive(folder: Path) -> Path:
    """Write this package as a zip file that Python can import from."""
    package = Path(atnet.__file__).parent
    path = folder / "atnet_package.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(package.rglob("*.py")):
            archive.write(file, Path("atnet", file.relative_to(package)))
    return path


def _item_path(folder: Path, number: int) -> Path:
    return folder / f"item-{number:06d}"


def _result_path(folder: Path, number: int) -> Path:
    return folder / f"result-{number:06d}"
