"""A process that trains the models of trials; started by `atnet.tuning.worker_pool`.

Messages are JSON lines. `{"train": {…section train…}}` starts a training. After each epoch the worker sends
`{"epoch": {…}, "last": …}` and waits for `{"proceed": …}`. `{"done": true}` or `{"error": …}` ends the training.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from atnet.config import TrainConfig
from atnet.environment import prepare_process
from atnet.errors import AtnetError
from atnet.network.training_inputs import TrainingInputs
from atnet.subprocesses import JsonLineChannel, JsonMessage


class Channel(Protocol):
    """Sends and receives messages."""

    def send(self, message: JsonMessage) -> None:
        """Send a message to the search."""

    def receive(self) -> JsonMessage:
        """Wait for a message of the search."""


class TrialPruned(Exception):
    """The search does not want the rest of the training."""


def train_trial(config: TrainConfig, inputs: TrainingInputs, channel: Channel) -> None:
    """Train a model, report each epoch and stop when the search says so.

    Raises:
        TrialPruned: if the search stopped the training.
    """
    import keras

    from atnet.network.device import choose_device
    from atnet.network.training import Trainer
    from atnet.network.training_state import TrainingState

    precision = choose_device().precision(config)
    # Otherwise the networks of earlier trials would stay in memory.
    keras.backend.clear_session()
    trainer = Trainer(config, inputs.training_data(config), precision=precision)

    def report(state: TrainingState) -> None:
        channel.send({"epoch": asdict(state.history[-1]), "last": state.is_finished(config)})
        if not channel.receive()["proceed"]:
            raise TrialPruned

    trainer.run(TrainingState(), on_epoch=report, on_step=lambda *_: None)


def serve(inputs: TrainingInputs, channel: Channel) -> None:
    """Train one model after another, as long as the search asks for them."""
    while True:
        config = TrainConfig.model_validate(channel.receive()["train"])
        try:
            train_trial(config, inputs, channel)
        except TrialPruned:
            continue
        except AtnetError as error:
            channel.send({"error": str(error)})
        else:
            channel.send({"done": True})


def main() -> None:
    """Serve over standard input and output."""
    prepare_process()
    channel = JsonLineChannel()
    serve(TrainingInputs.load(Path(sys.argv[1])), channel)


if __name__ == "__main__":
    main()
