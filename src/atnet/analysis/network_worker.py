"""The process in which AtNet learns the tasks of an analysis: `python -m atnet.analysis.network_worker <folder>`.

It does what the stages tokenize, vectors and train do, through the same functions, but for MLflow and the export.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tokenizers import Tokenizer

from atnet.config import Params
from atnet.errors import AtnetError
from atnet.inference import softmax
from atnet.network.compiled_steps import computation_precision
from atnet.network.training import Trainer
from atnet.network.training_inputs import TrainingData, vocabulary
from atnet.network.training_state import TrainingState
from atnet.schema import TEXT
from atnet.storage import cpu_flags, load_params, read_json, read_table, whole_file, write_arrow
from atnet.text.encoded_split import EncodedSplit, ordered_batches
from atnet.text.tokenization import encode, tokenize_splits
from atnet.text.word_vectors import word_vectors
from atnet.wide.blending import fit_temperature
from atnet.wide.branch import fit_wide_branch

AT_ONCE = 32


def learn(folder: Path, params: Params, seeds: Sequence[int]) -> None:
    """Do one task: fit the tokenizer and the vectors once, train once for each seed, write the answers."""
    train, stopping, texts = (read_table(folder / f"{name}.parquet") for name in ("train", "stopping", "texts"))
    tokenized = tokenize_splits({"train": train, "validation": stopping}, params.tokenize)
    for name, table in tokenized.tables.items():
        write_arrow(folder / f"{name}.arrow", table)
    learned, stopped = (EncodedSplit.load(folder / f"{name}.arrow") for name in ("train", "validation"))
    asked = _encoded(tokenized.tokenizer, texts)
    probabilities = [
        _probabilities(_trainer(params, seed, learned, stopped, tokenized.tokenizer, tokenized.labels), asked)
        for seed in seeds
    ]
    with whole_file(folder / "answers.npz") as beside, beside.open("wb") as file:
        np.savez(file, labels=np.array(tokenized.labels), probabilities=np.stack(probabilities))


def main(argv: Sequence[str] | None = None) -> int:
    """Do the tasks of a folder in turn, and print a line after each."""
    folder = Path((argv or sys.argv[1:])[0])
    asked = read_json(folder / "tasks.json")
    try:
        for number in range(asked["tasks"]):
            learn(folder / str(number), load_params(folder / "params.json"), asked["seeds"])
            print(number, flush=True)
    except AtnetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _trainer(
    params: Params,
    seed: int,
    train: EncodedSplit,
    stopping: EncodedSplit,
    tokenizer: Tokenizer,
    labels: Sequence[str],
) -> Trainer:
    config = params.train.model_copy(update={"seed": seed})
    assert tokenizer.truncation is not None
    data = TrainingData(
        train=train,
        validation=stopping,
        vocabulary_size=tokenizer.get_vocab_size(),
        classes=len(labels),
        pad_to=tokenizer.truncation["max_length"] if config.attention == "published" else None,
        vectors=word_vectors(train, params.vectors, dimensions=config.embedding_dimensions),
        wide=fit_wide_branch(
            config, train=train, validation=stopping, words=vocabulary(tokenizer), classes=len(labels)
        ),
    )
    return Trainer(config, data, precision=computation_precision(config, cpu_flags()))


def _probabilities(trainer: Trainer, asked: EncodedSplit) -> np.ndarray:
    """Train, calibrate on the rows that stopped the training and answer: (N, C)."""
    state = trainer.run(TrainingState(), on_epoch=lambda state: None, on_step=lambda *step: None)
    network = trainer.network(state)

    def logits(split: EncodedSplit) -> np.ndarray:
        answers = np.zeros((len(split), trainer.targets.shape[1]), np.float32)
        for rows in ordered_batches(split.lengths, AT_ONCE):
            answers[rows] = network(split.padded(rows, trainer.data.pad_to), training=False)["logits"]
        return answers

    temperature = fit_temperature(logits(trainer.data.validation), trainer.data.validation.labels)
    return softmax(logits(asked) / temperature)


def _encoded(tokenizer: Tokenizer, texts: pd.DataFrame) -> EncodedSplit:
    tokens = encode(tokenizer, texts[TEXT].tolist())
    return EncodedSplit(
        tokens=tokens.values.to_numpy(),
        offsets=tokens.offsets.to_numpy(),
        labels=np.zeros(len(texts), np.int32),
        text_hashes=[],
        ratings=None,
        weights=None,
    )


if __name__ == "__main__":
    sys.exit(main())
