"""Stage `train`: train AtNet and write a complete model folder."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from atnet import tracking
from atnet.config import Params
from atnet.environment import prepare_process
from atnet.files import MODEL, STATE
from atnet.inference import model_hash
from atnet.network.training_inputs import TrainingInputs, training_code, training_inputs
from atnet.network.training_state import TrainingState
from atnet.stages.command import run_stage
from atnet.stages.finished_checkpoint import keep_finished, restore_finished
from atnet.stages.fit_progress import FitProgress
from atnet.stderr import quiet_stderr
from atnet.storage import project_root

# Keras and TensorFlow read the environment when they are imported.
prepare_process()
with quiet_stderr():
    from atnet.network.checkpoint import load_state, save_state, training_key
    from atnet.network.device import choose_device
    from atnet.network.model_folder import TrainedModel, save_model
    from atnet.network.training import Trainer
    from atnet.stages.training_progress import StepProgress


def train(params: Params, root: Path) -> str:
    """Train AtNet, or resume an interrupted training, and write the model folder."""
    project = project_root(root)
    store = tracking.open_store(params.tracking, project)
    device = choose_device()
    inputs = TrainingInputs.load(root)
    dependencies = [*training_inputs(root), *training_code(root)]
    key = training_key(f"{params.train.model_dump_json()} {device.arithmetic(params.train)}", dependencies)
    # With and without character n-grams.
    with FitProgress(2 * len(params.train.wide_regularization)) as progress:
        data = inputs.training_data(params.train, progress.fitted)
    trainer = Trainer(params.train, data, precision=device.precision(params.train))
    checkpoint = project / STATE / "checkpoints" / f"{key}.npz"
    restore_finished(checkpoint, root)
    with tracking.training_run(store, key=key, name=f"training {key[:8]}", params={}) as run:
        state = _fit(trainer, checkpoint, run)
        trained = TrainedModel(trainer, state, inputs.tokenizer.to_str(pretty=True), inputs.labels)
        save_model(root / MODEL, trained, params.evaluate.target_accuracy)
        run.finish(model_hash(root / MODEL))
    keep_finished(checkpoint, root)
    return (
        f"best epoch {state.best.epoch} of {len(state.history)}, validation loss {state.best.validation_loss:.4f}, "
        f"accuracy {state.best.validation_accuracy:.1%}{f', trained on {device.name}' if device.is_gpu else ''}"
    )


def _fit(trainer: Trainer, checkpoint: Path, run: tracking.TrainingRun) -> TrainingState:
    with StepProgress() as progress:

        def on_epoch(state: TrainingState) -> None:
            save_state(checkpoint, state)
            progress.epoch(state.history[-1])
            curves = asdict(state.history[-1])
            run.epoch(curves.pop("epoch"), curves)

        return trainer.run(load_state(checkpoint), on_epoch=on_epoch, on_step=progress.step)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("train", train, argv)


if __name__ == "__main__":
    sys.exit(main())
