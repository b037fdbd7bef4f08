"""The model folder: everything that defines a trained model, without dates or run ids."""

import csv
import io
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import keras
import numpy as np
from tokenizers import Tokenizer

from atnet.inference import Predictor, create_session, softmax
from atnet.network.export import check_export, run_exported, to_onnx
from atnet.network.model import architecture_json
from atnet.network.reject_option import min_confidence
from atnet.network.training import Trainer
from atnet.network.training_state import Epoch, TrainingState
from atnet.storage import whole_file, write_json, write_text
from atnet.text.encoded_split import EncodedSplit, ordered_batches
from atnet.text_hashes import TextHashes
from atnet.wide.blending import fit_temperature

HISTORY_DECIMALS = 6
CHECKED_TEXTS, CHECK_BATCH = 256, 16
HASHES_AT_ONCE = 1 << 18
"""Text hashes of the training split that are strings at a time."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A finished training, with the tokenizer and the labels that its network needs for inference."""

    trainer: Trainer
    state: TrainingState
    tokenizer: str
    """The tokenizer's JSON."""
    labels: Sequence[str]


def save_model(folder: Path, trained: TrainedModel, target_accuracy: float | None = None) -> None:
    """Export the network, check the export, calibrate it on the validation split and write the model folder.

    Args:
        target_accuracy: accuracy of the answers of a model that abstains where it is not confident; None: it answers
            every text.

    Raises:
        ModelError: if the outputs of the exported network differ from those of Keras; nothing is written then.
        ConfigurationError: if the target accuracy cannot be guaranteed; nothing is written then.
    """
    data, network = trained.trainer.data, trained.trainer.network(trained.state)
    exported = to_onnx(network)
    _check(network, exported, data.validation, data.pad_to)
    tokenizer, session = Tokenizer.from_str(trained.tokenizer), create_session(exported)
    predictor = Predictor(tokenizer, session, labels=trained.labels, temperature=1.0, pad_to=data.pad_to)
    logits = split_logits(predictor, data.validation)
    temperature = fit_temperature(logits, data.validation.labels)
    config = {"labels": list(trained.labels), "temperature": temperature, "pad_to": data.pad_to}
    if target_accuracy is not None:
        config["reject_option"] = _reject_option(logits / temperature, data.validation.labels, target_accuracy)
    _write_bytes(folder / "model.weights.h5", _weights_file(network))
    _write_bytes(folder / "model.onnx", exported)
    write_text(folder / "architecture.json", architecture_json(network))
    write_text(folder / "tokenizer.json", trained.tokenizer)
    write_json(folder / "inference_config.json", config)
    _write_train_hashes(folder / "train_hashes.txt", data.train)
    write_text(folder / "history.csv", history_csv(trained.state.history))


def split_logits(predictor: Predictor, split: EncodedSplit) -> np.ndarray:
    """Compute the logits (N, C) of an encoded split with the exported network."""
    bounds = zip(split.offsets[:-1].tolist(), split.offsets[1:].tolist(), strict=True)
    return predictor.logits([split.tokens[start:end].tolist() for start, end in bounds])


def history_csv(history: Sequence[Epoch]) -> str:
    """Return the training curves as CSV, one line per epoch."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    for epoch in history:
        writer.writerow({name: _rounded(value) for name, value in asdict(epoch).items()})
    return file.getvalue()


def _write_train_hashes(path: Path, train: EncodedSplit) -> None:
    blocks = range(0, len(train), HASHES_AT_ONCE)
    hashes = TextHashes.union(
        TextHashes.of(train.text_hashes[start : start + HASHES_AT_ONCE].to_pylist()) for start in blocks
    )
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{name}\n" for name in hashes.names())


def _check(network: keras.Model, exported: bytes, validation: EncodedSplit, pad_to: int | None) -> None:
    """Compare the exported network with Keras on evenly spaced validation texts."""
    run = run_exported(exported)
    rows = np.linspace(0, len(validation) - 1, min(CHECKED_TEXTS, len(validation))).astype(np.int64)
    for batch in ordered_batches(validation.lengths[rows], CHECK_BATCH):
        check_export(network, run, validation.padded(rows[batch], pad_to))


def _reject_option(logits: np.ndarray, labels: np.ndarray, target_accuracy: float) -> dict[str, float]:
    probabilities = softmax(logits)
    right = probabilities.argmax(axis=1) == labels
    threshold = min_confidence(probabilities.max(axis=1), right, target_accuracy)
    return {"target_accuracy": target_accuracy, "min_confidence": threshold}


def _weights_file(network: keras.Model) -> bytes:
    # Keras requires this file name, so it cannot write a temporary file next to the final one.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        network.save_weights(path)
        return path.read_bytes()


def _rounded(value: float | int) -> float | int:
    return value if isinstance(value, int) else round(value, HISTORY_DECIMALS)


def _write_bytes(path: Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
