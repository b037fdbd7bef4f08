"""The process that trains AtNet for an analysis: `python -m atnet.analysis.network_worker <folder>`.

For each task it does what the stages tokenize, vectors and train do, with the same functions, but writes no model
folder. Messages are JSON lines: `{"task": 0, "seeds": […]}` in, `{"done": 0}` or `{"error": …}` out.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atnet.config import Params
from atnet.environment import prepare_process
from atnet.errors import AtnetError
from atnet.files import optional_file
from atnet.inference import Predictor, create_session, softmax
from atnet.network.device import choose_device
from atnet.network.export import to_onnx
from atnet.network.model_folder import split_logits
from atnet.network.training import Trainer
from atnet.network.training_inputs import TrainingData, vocabulary
from atnet.network.training_state import TrainingState
from atnet.schema import TEXT
from atnet.storage import load_params, read_table, whole_file, write_arrow
from atnet.subprocesses import JsonLineChannel
from atnet.text.encoded_split import EncodedSplit
from atnet.text.encoding import encode
from atnet.text.tokenization import Pretrained, TokenizedSplits, tokenize_splits
from atnet.text.vector_files import open_vectors
from atnet.text.word_vectors import complete_vectors, word_vectors
from atnet.wide.blending import fit_temperature
from atnet.wide.branch import fit_wide_branch


def run_task(folder: Path, params: Params, seeds: Sequence[int]) -> None:
    """Fit the tokenizer and the vectors once, train once per seed, and write the predictions."""
    train, validation, texts = (read_table(folder / f"{name}.parquet") for name in ("train", "validation", "texts"))
    path = optional_file(params.vectors.pretrained)
    pretrained = None if path is None else Pretrained(open_vectors(path), params.vectors)
    tokenized = tokenize_splits({"train": train, "validation": validation}, params.tokenize, pretrained)
    for name, table in tokenized.tables.items():
        write_arrow(folder / f"{name}.arrow", table)
    splits = {name: EncodedSplit.load(folder / f"{name}.arrow") for name in ("train", "validation")}
    encoded = EncodedSplit.unlabeled(encode(tokenized.tokenizer, texts[TEXT].tolist()))
    vectors = _vectors(splits["train"], tokenized.pretrained_VD, params)
    inputs = _data(params, splits, tokenized, vectors)
    probabilities = [_predict(_trainer(params, seed, inputs), tokenized, encoded) for seed in seeds]
    with whole_file(folder / "predictions.npz") as part, part.open("wb") as file:
        np.savez(file, labels=np.array(tokenized.labels), probabilities=np.stack(probabilities))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tasks that the parent asks for, until it closes the input."""
    folder = Path((argv or sys.argv[1:])[0])
    prepare_process()
    channel = JsonLineChannel()
    while True:
        request = channel.receive()
        try:
            run_task(folder / str(request["task"]), load_params(folder / "params.json"), request["seeds"])
        except AtnetError as error:
            channel.send({"error": str(error)})
        else:
            channel.send({"done": request["task"]})


def _vectors(train: EncodedSplit, pretrained_VD: np.ndarray, params: Params) -> np.ndarray:
    """Fit or complete the word vectors as stage `vectors` does, but without unlabeled texts."""
    if len(pretrained_VD):
        return complete_vectors(pretrained_VD, train, params.vectors)
    return word_vectors(train, params.vectors, dimensions=params.train.embedding_dimensions)


def _data(
    params: Params, splits: dict[str, EncodedSplit], tokenized: TokenizedSplits, vectors: np.ndarray
) -> TrainingData:
    config, train, validation, tokenizer = params.train, splits["train"], splits["validation"], tokenized.tokenizer
    assert tokenizer.truncation is not None
    words, classes = vocabulary(tokenizer), len(tokenized.labels)
    return TrainingData(
        train=train,
        validation=validation,
        vocabulary_size=tokenizer.get_vocab_size(),
        classes=classes,
        pad_to=tokenizer.truncation["max_length"] if config.attention == "published" else None,
        vectors=vectors,
        wide=fit_wide_branch(config, train=train, validation=validation, words=words, classes=classes),
        is_pretrained=len(tokenized.pretrained_VD) > 0,
    )


def _trainer(params: Params, seed: int, data: TrainingData) -> Trainer:
    config = params.train.model_copy(update={"seed": seed})
    return Trainer(config, data, precision=choose_device().precision(config))


def _predict(trainer: Trainer, tokenized: TokenizedSplits, encoded: EncodedSplit) -> np.ndarray:
    """Train, calibrate on the validation rows and predict with the exported network: (N, C)."""
    state = trainer.run(TrainingState(), on_epoch=lambda state: None, on_step=lambda *step: None)
    session = create_session(to_onnx(trainer.network(state)))
    predictor = Predictor(
        tokenized.tokenizer, session, labels=tokenized.labels, temperature=1.0, pad_to=trainer.data.pad_to
    )
    validation = trainer.data.validation
    temperature = fit_temperature(split_logits(predictor, validation), validation.labels)
    return softmax(split_logits(predictor, encoded) / temperature)


if __name__ == "__main__":
    main()
