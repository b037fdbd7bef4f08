"""Stage `vectors`: the training tokens in, word vectors out."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from atnet.config import Params
from atnet.dataset import EncodedSplit
from atnet.stages.command import run_stage
from atnet.storage import whole_file
from atnet.vectors import word_vectors


def vectors(params: Params, tokens: Path, vectors: Path) -> str:
    """Make the word vectors that the embedding starts from."""
    made = word_vectors(
        EncodedSplit.load(tokens / "train.arrow"),
        params.vectors,
        vocabulary_size=Tokenizer.from_file(str(tokens / "tokenizer.json")).get_vocab_size(),
        dimensions=params.train.embedding_dimensions,
    )
    with whole_file(vectors / "vectors.npy") as beside, beside.open("wb") as file:
        np.save(file, made)
    return f"{made.shape[0]:,} vectors of {made.shape[1]} values"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    return run_stage("vectors", ("tokens", "vectors"), vectors, argv)


if __name__ == "__main__":
    sys.exit(main())
