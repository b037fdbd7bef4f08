"""Stage `vectors`: the training tokens in, word vectors out."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atnet.config import Params
from atnet.stages.command import run_stage
from atnet.storage import whole_file
from atnet.text.dataset import EncodedSplit
from atnet.text.vectors import word_vectors


def vectors(params: Params, tokens: Path, vectors: Path) -> str:
    """Make the word vectors that the embedding starts from."""
    made = word_vectors(
        EncodedSplit.load(tokens / "train.arrow"),
        params.vectors,
        dimensions=params.train.embedding_dimensions,
    )
    # Not straight into a file: on a full disk NumPy then fails without saying why.
    contents = io.BytesIO()
    np.save(contents, made)
    with whole_file(vectors / "vectors.npy") as beside:
        beside.write_bytes(contents.getbuffer())
    return f"{made.shape[0]:,} vectors of {made.shape[1]} values"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    return run_stage("vectors", ("tokens", "vectors"), vectors, argv)


if __name__ == "__main__":
    sys.exit(main())
