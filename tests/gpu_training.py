"""Train a small network twice on the device of this machine and print what it shows: `python -m tests.gpu_training`."""

import hashlib
import json
import time

import numpy as np

from atnet.environment import prepare_process
from atnet.storage import load_params
from tests.projects import ROOT


def main() -> None:
    """Print JSON: the device, its precision, the hashes of two trainings, the export's difference and the seconds."""
    prepare_process()
    import tensorflow as tf

    from atnet.network.device import choose_device
    from atnet.network.export import check_export, run_exported, to_onnx
    from atnet.network.training import Trainer
    from atnet.network.training_inputs import TrainingData
    from atnet.network.training_state import TrainingState
    from tests.encoded import VOCABULARY, encoded_split

    device = choose_device()
    small = {"embedding_dimensions": 16, "filters": 8, "epochs": 2, "batch_size": 16, "soft_target_slope": None}
    config = load_params(ROOT / "params.yaml").train.model_copy(update=small)
    train, validation = encoded_split(200), encoded_split(50, seed=1)
    hashes, differences, started = [], [], time.perf_counter()
    for _ in range(2):
        trainer = Trainer(
            config, TrainingData(train, validation, VOCABULARY, 2, None), precision=device.precision(config)
        )
        state = trainer.run(TrainingState(), on_epoch=lambda _: None, on_step=lambda *_: None)
        network = trainer.network(state)
        tokens = validation.padded(np.arange(len(validation)), None)
        differences.append(check_export(network, run_exported(to_onnx(network)), tokens).largest_difference)
        hashes.append(hashlib.sha256(b"".join(np.array(weights).tobytes() for weights in state.weights)).hexdigest())
    memory = tf.config.experimental.get_memory_info("GPU:0")["peak"] if device.is_gpu else None
    result = {"device": device.name, "precision": device.precision(config), "hashes": hashes}
    result |= {"differences": differences, "peak_bytes": memory, "seconds": time.perf_counter() - started}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
