"""AtNet as a learner: each list of tasks in a process of its own, for TensorFlow's ten seconds and memory end with it.

The child (`atnet.analysis.network_worker`) is started by name and never imported here, so that nothing which imports
this module imports TensorFlow. They talk through a folder: a task per numbered folder, a line per finished training.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from atnet.analysis.tasks import Learner, LearnerPredictions, Task
from atnet.config import Params
from atnet.errors import ModelError
from atnet.schema import TEXT
from atnet.storage import write_json, write_table, write_text

CHILD = "atnet.analysis.network_worker"
TOLD_LINES = 15
"""Of what a failed child wrote."""


def network_learner(params: Params, seeds: Sequence[int]) -> Learner:
    """Learn with AtNet as `params` says, once for each seed: words, vectors and network all from the task's rows."""

    def learn(tasks: Sequence[Task]) -> Iterator[LearnerPredictions]:
        with tempfile.TemporaryDirectory(prefix="atnet-analysis-") as name, tempfile.TemporaryFile("w+") as errors:
            folder = Path(name)
            _write(folder, tasks, params, seeds)
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [sys.executable, "-m", CHILD, str(folder)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as child:
                try:
                    for number in range(len(tasks)):
                        yield _finished(child, folder / str(number), errors)
                finally:
                    # Left early, by a fault or Ctrl-C, nobody waits for the rest.
                    child.terminate()

    return learn


def _write(folder: Path, tasks: Sequence[Task], params: Params, seeds: Sequence[int]) -> None:
    write_text(folder / "params.json", params.model_dump_json(by_alias=True))
    write_json(folder / "tasks.json", {"seeds": list(seeds), "tasks": len(tasks)})
    for number, task in enumerate(tasks):
        write_table(folder / str(number) / "train.parquet", task.train)
        write_table(folder / str(number) / "stopping.parquet", task.stopping)
        write_table(folder / str(number) / "texts.parquet", pd.DataFrame({TEXT: task.texts}))


def _finished(child: subprocess.Popen[str], folder: Path, errors: IO[str]) -> LearnerPredictions:
    assert child.stdout is not None
    if not child.stdout.readline():
        code = child.wait()
        errors.seek(0)
        lines = errors.read().strip().splitlines()[-TOLD_LINES:]
        raise ModelError(f"The training ended with code {code}:\n" + "\n".join(lines))
    with np.load(folder / "answers.npz") as answers:
        return LearnerPredictions(answers["labels"].tolist(), answers["probabilities"])
