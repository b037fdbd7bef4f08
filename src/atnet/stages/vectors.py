"""Stage `vectors`: fit word vectors on the training split."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atnet.config import Params
from atnet.files import WORD_VECTORS, encoded_split
from atnet.stages.command import run_stage
from atnet.storage import whole_file
from atnet.text.encoded_split import EncodedSplit
from atnet.text.word_vectors import word_vectors


def vectors(params: Params, root: Path) -> str:
    """Fit the word vectors that the embedding starts from."""
    train = EncodedSplit.load(root / encoded_split("train"))
    fitted = word_vectors(train, params.vectors, dimensions=params.train.embedding_dimensions)
    # Not directly to the file: on a full disk NumPy would fail without giving the reason.
    contents = io.BytesIO()
    np.save(contents, fitted)
    with whole_file(root / WORD_VECTORS) as partial:
        partial.write_bytes(contents.getbuffer())
    return f"{fitted.shape[0]:,} vectors of {fitted.shape[1]} values"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("vectors", vectors, argv)


if __name__ == "__main__":
    sys.exit(main())
