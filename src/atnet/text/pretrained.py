"""Select the vectors that a project needs from a word-vector file, and add its words to the tokenizer's vocabulary.

Shapes: V tokens with a vector, D values per vector.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from atnet.config import VectorsConfig
from atnet.errors import DataContractError
from atnet.text.vector_streams import VectorStream
from atnet.text.word_splitting import PADDING, UNKNOWN

logger = logging.getLogger(__name__)

MIN_EXPECTED_COVERAGE = 0.5
"""If a smaller share of the training tokens is in the file, it probably has another language or case."""


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Words in the form that the tokenizer gives them, in the order of the file, and their vectors."""

    words: list[str]
    vectors_WD: np.ndarray
    """float32."""
    file_words: int
    """Words in the whole file."""


@dataclass(frozen=True, slots=True)
class WidenedTokenizer:
    """A tokenizer with the words of a file, and the vectors of its first V tokens."""

    tokenizer: Tokenizer
    vectors_VD: np.ndarray
    """float32; rows of NaN for tokens that the file does not have."""
    report: dict[str, Any]


def widen_tokenizer(
    tokenizer: Tokenizer, counts: Mapping[str, int], stream: VectorStream, config: VectorsConfig
) -> WidenedTokenizer:
    """Add the most frequent words of a word-vector file to a tokenizer fitted on the training texts.

    The new order of the tokens: words of the texts that the file has or that are frequent, words of the file alone,
    then the rare words of the texts without a vector, which the network treats as the unknown word.

    Args:
        tokenizer: its vocabulary is replaced.
        counts: how often each word occurs in the training texts.
        stream: the file.
        config: how many of the file's words join, and which words of the texts are frequent.

    Raises:
        DataFileError: if the file is damaged.
        DataContractError: if no word of the texts is in the file.
    """
    ids: dict[str, int] = tokenizer.get_vocab()
    own_words = sorted(ids, key=ids.__getitem__)[2:]
    file = select_vectors(stream, own_words, tokenizer, first_words=config.pretrained_words)
    row_of = {word: row for row, word in enumerate(file.words)}
    coverage = _coverage(own_words, row_of, counts)
    frequent = {word for word in own_words[: config.max_tokens] if counts[word] >= config.min_frequency}
    with_vector = [word for word in own_words if word in row_of or word in frequent]
    added = [word for word in file.words if word not in ids]
    rare = [word for word in own_words if word not in row_of and word not in frequent]
    words = [PADDING, UNKNOWN, *with_vector, *added]
    vectors_VD = np.full((len(words), stream.dimensions), np.nan, np.float32)
    rows = np.array([row_of.get(word, -1) for word in words])
    vectors_VD[rows >= 0] = file.vectors_WD[rows[rows >= 0]]
    vocabulary = {word: token_id for token_id, word in enumerate([*words, *rare])}
    tokenizer.model = WordLevel(vocabulary, unk_token=UNKNOWN)
    report = {"dimensions": stream.dimensions, "file_words": file.file_words, "added_words": len(added), **coverage}
    return WidenedTokenizer(tokenizer, vectors_VD, report)


def select_vectors(
    stream: VectorStream, own_words: Collection[str], tokenizer: Tokenizer, *, first_words: int
) -> WordVectors:
    """Read the vectors of the given words and of the first words of the file; only these are kept in memory.

    A word of the file is brought into the form that the tokenizer gives it. Of several words with one form, the one
    that already has the form counts, else the first. A word with capitals that the file does not have gets the vector
    of its lowercase form.
    """
    wanted = set(own_words)
    lowercase = {word.lower() for word in wanted} - wanted
    vectors: dict[str, np.ndarray] = {}
    exact: set[str] = set()
    chosen: dict[str, None] = {}
    position = -1
    for position, (raw, values) in enumerate(stream.records()):
        word = raw.decode("utf-8", errors="replace")
        form = word if word in wanted else tokenizer.normalizer.normalize_str(word)
        if form in wanted or (position < first_words and is_one_word(form, tokenizer)):
            chosen[form] = None
        elif form not in lowercase:
            continue
        if form not in vectors or (form == word and form not in exact):
            vectors[form] = stream.parse(values)
            exact.update({form} if form == word else ())
    for word in own_words:
        if word not in vectors and word.lower() in vectors:
            vectors[word], chosen[word] = vectors[word.lower()], None
    words = list(chosen)
    matrix = np.stack([vectors[word] for word in words]) if words else np.zeros((0, stream.dimensions), np.float32)
    return WordVectors(words, matrix, position + 1)


def is_one_word(form: str, tokenizer: Tokenizer) -> bool:
    """Return whether texts can contain the word as one token; a phrase with "_" is written with a space in texts."""
    if "_" in form:
        return False
    pieces = tokenizer.pre_tokenizer.pre_tokenize_str(form)
    return len(pieces) == 1 and pieces[0][0] == form


def summarize(report: dict[str, Any]) -> str:
    """Return in one line what the file contributes."""
    return (
        f"vectors of {report['dimensions']} values for {report['known_words']:,} words of train "
        f"({report['known_tokens']:.1%} of its tokens), {report['added_words']:,} words added from the file"
    )


def _coverage(own_words: Sequence[str], row_of: Collection[str], counts: Mapping[str, int]) -> dict[str, Any]:
    """Return how much of the training texts the file covers.

    Raises:
        DataContractError: if it is nothing.
    """
    known = [word for word in own_words if word in row_of]
    if not known:
        raise DataContractError(
            f"vectors.pretrained has none of the {len(own_words):,} words of the training split, such as "
            f"{', '.join(map(repr, own_words[:3]))}. The file probably has another language or case: set another file, "
            "or change tokenize.lowercase or tokenize.strip_accents."
        )
    share = sum(counts[word] for word in known) / sum(counts[word] for word in own_words)
    if share < MIN_EXPECTED_COVERAGE:
        logger.warning(
            "vectors.pretrained covers only %.0f%% of the tokens of the training split. Its language or case may "
            "be different.",
            100 * share,
        )
    return {"known_words": len(known), "known_tokens": round(share, 6)}
