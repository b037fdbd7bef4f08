"""Stage `vectors`: fit word vectors on the training split, or complete pretrained ones."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import Params
from atnet.files import PRETRAINED_VECTORS, WORD_VECTORS, encoded_split
from atnet.stages.command import run_stage
from atnet.storage import read_array, write_array
from atnet.text.encoded_split import EncodedSplit
from atnet.text.word_vectors import complete_vectors, word_vectors

logger = logging.getLogger(__name__)


def vectors(params: Params, root: Path) -> str:
    """Write the word vectors that the embedding starts from."""
    train = EncodedSplit.load(root / encoded_split("train"))
    pretrained_VD = read_array(root / PRETRAINED_VECTORS)
    if len(pretrained_VD):
        fitted = complete_vectors(pretrained_VD, train, params.vectors)
    else:
        fitted = word_vectors(train, params.vectors, dimensions=params.train.embedding_dimensions)
    write_array(root / WORD_VECTORS, fitted)
    return f"{fitted.shape[0]:,} vectors of {fitted.shape[1]} values"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("vectors", vectors, argv)


if __name__ == "__main__":
    sys.exit(main())
