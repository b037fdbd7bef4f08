"""AtNet as a learner in a child process: TensorFlow's import time and memory end with it.

The child (`atnet.analysis.network_worker`) is started by name, so that importing this module does not import
TensorFlow. Tasks and predictions are files in numbered folders; JSON lines say which task is next and which is done.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.analysis.tasks import Learner, Task, TaskPredictions
from atnet.config import Params
from atnet.environment import TENSORFLOW_SETTINGS, reduced_environment
from atnet.errors import ModelError
from atnet.schema import TEXT
from atnet.storage import write_table, write_text
from atnet.subprocesses import JsonLineProcess

WORKER_MODULE = "atnet.analysis.network_worker"
SHOWN_LOG_LINES = 15
"""Of the log of a child that failed."""


def network_learner(params: Params, seeds: Sequence[int]) -> Learner:
    """Build a learner that trains AtNet once per seed: vocabulary, vectors and network all from the task's rows."""

    def learn(tasks: Sequence[Task]) -> Iterator[TaskPredictions]:
        with tempfile.TemporaryDirectory(prefix="atnet-analysis-") as name:
            folder = Path(name)
            write_text(folder / "params.json", params.model_dump_json(by_alias=True))
            process = JsonLineProcess(
                [sys.executable, "-m", WORKER_MODULE, name],
                environment=reduced_environment(TENSORFLOW_SETTINGS, training=True),
                name="The training process",
            )
            try:
                for number, task in enumerate(tasks):
                    _write_task(folder / str(number), task)
                    process.send({"task": number, "seeds": list(seeds)})
                    yield _predictions(process, folder / str(number))
            finally:
                # If the caller stops early, because of an error or Ctrl-C, the training in progress is not awaited.
                process.kill()
                process.close()

    return learn


def _write_task(folder: Path, task: Task) -> None:
    write_table(folder / "train.parquet", task.train)
    write_table(folder / "validation.parquet", task.validation)
    write_table(folder / "texts.parquet", pd.DataFrame({TEXT: task.texts}))


def _predictions(process: JsonLineProcess, folder: Path) -> TaskPredictions:
    message = process.receive()
    if message is None:
        log = "\n".join(process.log_lines(SHOWN_LOG_LINES)) or process.end_reason()
        raise ModelError(f"The training process ended without a result:\n{log}")
    if "error" in message:
        raise ModelError(str(message["error"]))
    with np.load(folder / "predictions.npz") as predictions:
        return TaskPredictions(predictions["labels"].tolist(), predictions["probabilities"])
