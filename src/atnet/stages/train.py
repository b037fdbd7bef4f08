"""Stage `train`: train AtNet and write a complete model folder."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from atnet import tracking
from atnet.config import Params
from atnet.environment import prepare_process
from atnet.files import MODEL, STATE
from atnet.inference import model_hash
from atnet.network.training_inputs import TrainingData, TrainingInputs, training_code, training_inputs
from atnet.network.training_state import Epoch, TrainingState
from atnet.spill import spill_folder
from atnet.stages.command import run_stage
from atnet.stages.finished_checkpoint import keep_finished, restore_finished
from atnet.stages.fit_progress import FitProgress
from atnet.stderr import quiet_stderr
from atnet.storage import project_root

# Keras and TensorFlow read the environment when they are imported.
prepare_process()
with quiet_stderr():
    from atnet.network.checkpoint import load_state, save_state, training_key, training_settings
    from atnet.network.data_parallel import Callbacks, check_workers, train_in_parallel
    from atnet.network.device import training_device
    from atnet.network.model_folder import TrainedModel, save_model
    from atnet.network.training import Trainer, texts_per_step
    from atnet.network.training_processes import ParallelTraining
    from atnet.stages.training_progress import StepProgress


def train(params: Params, root: Path) -> str:
    """Train AtNet, or resume an interrupted training, and write the model folder."""
    project = project_root(root)
    store = tracking.open_store(params.tracking, project)
    device = training_device(params.train)
    inputs = TrainingInputs.load(root)
    check_workers(params.train, texts_per_step(params.train, len(inputs.train)))
    dependencies = [*training_inputs(root), *training_code(root)]
    key = training_key(training_settings(params.train, device.arithmetic(params.train)), dependencies)
    # With and without character n-grams.
    with FitProgress(2 * len(params.train.wide_regularization)) as progress:
        data = inputs.training_data(params.train, progress.fitted)
    precision = device.precision(params.train)
    trainer = Trainer(params.train, data, precision=precision)
    checkpoint = project / STATE / "checkpoints" / f"{key}.npz"
    restore_finished(checkpoint, root)
    with tracking.training_run(store, key=key, name=f"training {key[:8]}", params={}) as run:
        if params.train.worker_count == 1:
            state = _fit(trainer, checkpoint, run)
        else:
            with _wide_logits(data, root) as wide_logits:
                job = ParallelTraining(params.train, root.resolve(), key, precision, checkpoint, wide_logits)
                state = _fit_in_parallel(job, run)
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
            _report(state.history[-1], progress, run)

        return trainer.run(load_state(checkpoint), on_epoch=on_epoch, on_step=progress.step)


def _fit_in_parallel(training: ParallelTraining, run: tracking.TrainingRun) -> TrainingState:
    if isinstance(training.config.workers, list):
        print("train: waiting for the other workers, `python -m atnet.network.data_parallel --index N`", flush=True)
    with StepProgress() as progress:
        callbacks = Callbacks(on_epoch=lambda epoch: _report(epoch, progress, run), on_step=progress.step)
        return train_in_parallel(training, callbacks)


def _report(epoch: Epoch, progress: StepProgress, run: tracking.TrainingRun) -> None:
    progress.epoch(epoch)
    curves = asdict(epoch)
    run.epoch(curves.pop("epoch"), curves)


@contextlib.contextmanager
def _wide_logits(data: TrainingData, root: Path) -> Iterator[Path | None]:
    """Write the wide branch's logits on the validation split for the workers, which do not fit it again."""
    if data.wide is None:
        yield None
        return
    with spill_folder(root, "train") as folder:
        path = folder.resolve() / "wide_logits.npy"
        np.save(path, data.wide.logits(data.validation))
        yield path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("train", train, argv)


if __name__ == "__main__":
    sys.exit(main())
