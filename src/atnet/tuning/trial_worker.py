"""A process that trains what it is told to: JSON lines in, JSON lines out.

`{"train": {…section train…}}` begins a training; after each epoch `{"epoch": {…}, "last": …}` goes out and `{"go": …}`
is awaited; `{"done": true}` or `{"error": …}` ends it. Started by `atnet.tuning.worker_pool`; ends when its input does.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from atnet.config import TrainConfig
from atnet.errors import AtnetError
from atnet.network.training_inputs import TrainingInputs
from atnet.storage import cpu_flags

Say = Callable[[dict[str, Any]], None]
Hear = Callable[[], dict[str, Any]]


class TrialPruned(Exception):
    """The rest of the training is not wanted."""


def train_once(config: TrainConfig, files: TrainingInputs, say: Say, hear: Hear) -> None:
    """Train, telling each epoch and stopping where no more is wanted."""
    import keras

    from atnet.network.compiled_steps import computation_precision
    from atnet.network.training import Trainer
    from atnet.network.training_state import TrainingState

    # The networks of earlier trials would stay in memory.
    keras.backend.clear_session()
    trainer = Trainer(config, files.training_data(config), precision=computation_precision(config, cpu_flags()))

    def tell(state: TrainingState) -> None:
        say({"epoch": asdict(state.history[-1]), "last": state.is_finished(config)})
        if not hear()["go"]:
            raise TrialPruned

    trainer.run(TrainingState(), on_epoch=tell, on_step=lambda *_: None)


def serve(files: TrainingInputs, say: Say, hear: Hear) -> None:
    """Train whatever is asked for, one after another, for as long as somebody asks."""
    while True:
        config = TrainConfig.model_validate(hear()["train"])
        try:
            train_once(config, files, say, hear)
        except TrialPruned:
            continue
        except AtnetError as error:
            say({"error": str(error)})
        else:
            say({"done": True})


def main() -> None:
    """Serve over standard input and output."""
    # What a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, asked), daemon=True).start()

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    serve(TrainingInputs.load(Path(sys.argv[1])), say, lambda: json.loads(asked.get()))


def _listen(source: TextIO, asked: "queue.SimpleQueue[str]") -> None:
    for line in source:
        asked.put(line)
    # Whoever asked has gone, perhaps killed: nobody waits for the rest of this training.
    os._exit(1)


if __name__ == "__main__":
    main()
