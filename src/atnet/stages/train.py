"""Stage `train`: tokens and word vectors in, a complete model folder out."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from atnet import tracking
from atnet.config import Params
from atnet.inference import model_hash
from atnet.network.trainingfiles import TrainingFiles, training_code, training_inputs
from atnet.notices import held_back
from atnet.stages.command import run_stage
from atnet.storage import cpu_flags, project_root

# TensorFlow reads these as it is imported, and greets every training with a page of notices all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with held_back():
    from atnet.network.checkpoint import load_state, save_state, training_key
    from atnet.network.modelfiles import TrainedModel, save_model
    from atnet.network.progress import StepProgress
    from atnet.network.training import Trainer, TrainingState, computation_precision


def train(params: Params, tokens: Path, vectors: Path, model: Path) -> str:
    """Train AtNet, or go on where an interrupted training stopped, and write the model folder."""
    store = tracking.open_store(params.tracking, project_root())
    precision = computation_precision(params.train, cpu_flags())
    files = TrainingFiles.load(tokens, vectors)
    depends_on = [*training_inputs(tokens, vectors), *training_code(Path.cwd())]
    key = training_key(f"{params.train.model_dump_json()} {precision}", depends_on)
    trainer = Trainer(params.train, precision=precision, **files.for_trainer(params.train))
    checkpoint = project_root() / ".atnet" / "checkpoints" / f"{key}.npz"
    with tracking.live_run(store, key=key, name=f"training {key[:8]}", params={}) as live:
        state = _run(trainer, checkpoint, live)
        trained = TrainedModel(trainer, state, files.tokenizer.to_str(pretty=True), files.labels)
        save_model(model, trained)
        live.finish(model_hash(model))
    checkpoint.unlink(missing_ok=True)
    return (
        f"best epoch {state.best.epoch} of {len(state.history)}, validation loss {state.best.validation_loss:.4f}, "
        f"accuracy {state.best.validation_accuracy:.1%}"
    )


def _run(trainer: Trainer, checkpoint: Path, live: tracking.LiveRun) -> TrainingState:
    with StepProgress() as progress:

        def keep(state: TrainingState) -> None:
            save_state(checkpoint, state)
            progress.epoch(state.history[-1])
            curves = asdict(state.history[-1])
            live.epoch(curves.pop("epoch"), curves)

        state = trainer.run(load_state(checkpoint), on_epoch=keep, on_step=progress.step)
    return state


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    return run_stage("train", ("tokens", "vectors", "model"), train, argv)


if __name__ == "__main__":
    sys.exit(main())
