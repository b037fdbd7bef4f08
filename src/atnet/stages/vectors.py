"""Stage `vectors`: fit word vectors on the training split, or complete pretrained ones."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from atnet.config import Params
from atnet.data.unlabeled import UnlabeledTexts
from atnet.files import PRETRAINED_VECTORS, TOKENIZER, WORD_VECTORS, encoded_split, optional_file, split_table
from atnet.schema import TEXT
from atnet.stages.command import run_stage
from atnet.storage import read_array, read_table, reading, write_array
from atnet.text.encoded_split import EncodedSplit
from atnet.text.encoding import encode
from atnet.text.word_vectors import complete_vectors, word_vectors


def vectors(params: Params, root: Path) -> str:
    """Write the word vectors that the embedding starts from."""
    train = EncodedSplit.load(root / encoded_split("train"))
    texts = _unlabeled(params, root)
    unlabeled = () if texts is None else _encoded(texts, root / TOKENIZER)
    pretrained_VD = read_array(root / PRETRAINED_VECTORS)
    dimensions = params.train.embedding_dimensions
    if len(pretrained_VD):
        fitted = complete_vectors(pretrained_VD, train, params.vectors, unlabeled=unlabeled)
    else:
        fitted = word_vectors(train, params.vectors, dimensions=dimensions, unlabeled=unlabeled)
    write_array(root / WORD_VECTORS, fitted)
    line = f"{fitted.shape[0]:,} vectors of {fitted.shape[1]} values"
    if fitted.shape[1] != dimensions:
        line += f", as in vectors.pretrained (train.embedding_dimensions, {dimensions}, is not used)"
    return line if texts is None else f"{line}; {texts.summary()}"


def _unlabeled(params: Params, root: Path) -> UnlabeledTexts | None:
    path = optional_file(params.vectors.unlabeled)
    if path is None:
        return None
    tables = [read_table(root / split_table(name), [TEXT]) for name in ("validation", "test")]
    held_out = [text for table in tables for text in table[TEXT].tolist()]
    return UnlabeledTexts(root / path, params.data, held_out, params.split)


def _encoded(texts: UnlabeledTexts, tokenizer_file: Path) -> Iterator[EncodedSplit]:
    # The library raises no narrower exception.
    with reading(tokenizer_file, Exception):
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    for batch in texts.batches():
        yield EncodedSplit.unlabeled(encode(tokenizer, batch))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("vectors", vectors, argv)


if __name__ == "__main__":
    sys.exit(main())
