"""Fit the tokenizer to the training split and encode texts as token ids.

Ids: 0 padding, 1 unknown, then by frequency (word), merge order (bpe) or likelihood (unigram).
Letters in array names: N texts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import Model, WordLevel

from atnet.batch_engine import BatchMapper
from atnet.config import SplitName, TokenizeConfig, VectorsConfig
from atnet.errors import DataContractError
from atnet.schema import HARD_LABEL, LABEL, TEXT, labeled_rows, teacher_labels
from atnet.table_batches import TableSource
from atnet.text.encoding import EncodedBatch, EncodedRows, encode_rows, encoded_columns
from atnet.text.pretrained import summarize as summarize_pretrained
from atnet.text.pretrained import widen_tokenizer
from atnet.text.subwords import bpe_model, frequent_characters, subword_normalizer, subword_splitter, unigram_model
from atnet.text.vector_streams import VectorStream
from atnet.text.word_splitting import (
    PADDING,
    PADDING_ID,
    UNKNOWN,
    UNKNOWN_ID,
    count_chunks,
    merge_counts,
    text_normalizer,
    word_splitter,
)

REPORTED_QUANTILES = (0.25, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class TokenizedSplits:
    """Everything the model is trained on."""

    tokenizer: Tokenizer
    labels: list[str]
    """Sorted; the position is the class id."""
    tables: Mapping[SplitName, pa.Table]
    report: dict[str, Any]
    pretrained_VD: np.ndarray
    """Vectors of the first V tokens from the user's file, NaN where it has none; (0, 0) without a file."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Word vectors provided by the user, and the section that configures their use."""

    stream: VectorStream
    config: VectorsConfig


def tokenize_splits(
    splits: Mapping[SplitName, pd.DataFrame], config: TokenizeConfig, pretrained: Pretrained | None = None
) -> TokenizedSplits:
    """Tokenize splits in memory, see `tokenize_batches`."""
    sources = {name: TableSource.of(split) for name, split in splits.items()}
    with TemporaryDirectory() as folder:
        # What is mapped stays readable without the folder.
        return tokenize_batches(sources, config, Path(folder), pretrained)


def tokenize_batches(
    splits: Mapping[SplitName, TableSource],
    config: TokenizeConfig,
    folder: Path,
    pretrained: Pretrained | None = None,
    mapper: BatchMapper = map,
) -> TokenizedSplits:
    """Fit the tokenizer and choose the maximum length on train, then encode all splits.

    Args:
        splits: the three splits.
        config: kind and size of the vocabulary, and the maximum length.
        folder: an empty folder for the encoded rows, from which the long columns of the tables are mapped.
        pretrained: word vectors by whose words the vocabulary is widened.
        mapper: calls the functions of single batches.

    Raises:
        DataContractError: if no word of train is frequent enough, a label never occurs in train, the teacher has other
            labels than train, or the pretrained vectors have no word of train.
        DataFileError: if the file of the pretrained vectors is damaged.
    """
    train = splits["train"]
    tokenizer = fit_tokenizer_to(train, config, mapper)
    vectors_VD, extra = _add_pretrained(tokenizer, train, pretrained, mapper)
    labels = _distinct_labels(train)
    encoding = partial(encode_rows, tokenizer=tokenizer, labels=labels)
    rows = {name: _encode_split(split, encoding, folder / name, mapper) for name, split in splits.items()}
    max_length = choose_max_length(rows["train"].lengths_N, config)
    tokenizer.enable_truncation(max_length=max_length)
    report = {
        "kind": config.kind,
        "vocabulary_size": tokenizer.get_vocab_size(),
        "max_length": max_length,
        "splits": {name: _describe(encoded, max_length) for name, encoded in rows.items()},
        **extra,
    }
    tables = {name: encoded.table(max_length) for name, encoded in rows.items()}
    return TokenizedSplits(tokenizer, labels, tables, report, vectors_VD)


def _add_pretrained(
    tokenizer: Tokenizer, train: TableSource, pretrained: Pretrained | None, mapper: BatchMapper
) -> tuple[np.ndarray, dict[str, Any]]:
    """Add the words of the user's vectors to the tokenizer; return the vectors (V, D) and report entries."""
    if pretrained is None:
        return np.zeros((0, 0), np.float32), {}
    counts = merge_counts(mapper(count_chunks, _texts(train)), tokenizer.normalizer, tokenizer.pre_tokenizer)
    widened = widen_tokenizer(tokenizer, counts, pretrained.stream, pretrained.config)
    return widened.vectors_VD, {"pretrained": widened.report}


def fit_tokenizer(texts: Sequence[str], config: TokenizeConfig) -> Tokenizer:
    """Fit a vocabulary to texts in memory, see `fit_tokenizer_to`."""
    return fit_tokenizer_to(TableSource.of(pd.DataFrame({TEXT: texts})), config)


def fit_tokenizer_to(train: TableSource, config: TokenizeConfig, mapper: BatchMapper = map) -> Tokenizer:
    """Fit a vocabulary to the training texts; the same texts give the same bytes in any process.

    Raises:
        DataContractError: if no word is frequent enough.
    """
    tokenizer = new_tokenizer(config)
    tokenizer.model = _fit_model(tokenizer, train, config, mapper)
    if tokenizer.get_vocab_size() <= UNKNOWN_ID + 1:
        texts = sum(len(batch) for batch in train.batches([TEXT]))
        raise DataContractError(
            f"No word occurs {config.min_frequency} times in the {texts} training texts. "
            "Lower tokenize.min_frequency or add texts."
        )
    return tokenizer


def new_tokenizer(config: TokenizeConfig) -> Tokenizer:
    """Return a tokenizer that normalizes and splits texts as configured, without a vocabulary."""
    tokenizer = Tokenizer(WordLevel({PADDING: PADDING_ID, UNKNOWN: UNKNOWN_ID}, unk_token=UNKNOWN))
    normalizer = text_normalizer(lowercase=config.lowercase, strip_accents=config.strip_accents)
    by_word = config.kind == "word"
    tokenizer.normalizer = normalizer if by_word else subword_normalizer(normalizer)
    tokenizer.pre_tokenizer = word_splitter() if by_word else subword_splitter()
    return tokenizer


def needed_disk(rows: int, table_bytes: int) -> int:
    """Estimate an upper bound on the bytes of encoded rows and outputs, for splits of that total size."""
    # A token has four bytes and stands for at least two characters; it is written up to three times.
    return 3 * 2 * table_bytes + 3 * 32 * rows


def choose_max_length(lengths_N: NDArray[np.int64], config: TokenizeConfig) -> int:
    """Return the configured maximum length, or the quantile of the lengths, rounded up to a length that occurs."""
    if config.max_length is not None:
        return config.max_length
    return min(int(np.quantile(lengths_N, config.max_length_quantile, method="higher")), config.max_length_limit)


def summarize(tokenized: TokenizedSplits) -> str:
    """Return in one line the size of the vocabulary and the share of unknown tokens."""
    report = tokenized.report
    unknown = report["splits"]["validation"]["unknown_rate"]
    line = (
        f"{report['vocabulary_size']:,} {report['kind']} tokens, {unknown:.1%} of the validation tokens unknown, "
        f"at most {report['max_length']} per text"
    )
    return f"{line}; {summarize_pretrained(report['pretrained'])}" if "pretrained" in report else line


def _fit_model(tokenizer: Tokenizer, train: TableSource, config: TokenizeConfig, mapper: BatchMapper) -> Model:
    size = config.vocabulary_size
    words = merge_counts(mapper(count_chunks, _texts(train)), tokenizer.normalizer, tokenizer.pre_tokenizer)
    if config.kind == "word":
        frequent = (word for word, count in words.items() if count >= config.min_frequency)
        ordered = sorted(frequent, key=lambda word: (-words[word], word))[: size - 2]
        return WordLevel(
            {word: word_id for word_id, word in enumerate([PADDING, UNKNOWN, *ordered])}, unk_token=UNKNOWN
        )
    alphabet = frequent_characters(words, size)
    if config.kind == "bpe":
        texts = (text for batch in _texts(train) for text in batch)
        return bpe_model(tokenizer, texts, alphabet=alphabet, size=size, min_frequency=config.min_frequency)
    return unigram_model(words, alphabet=alphabet, size=size)


def _texts(source: TableSource) -> Iterable[list[str]]:
    return (batch[TEXT].tolist() for batch in source.batches([TEXT]))


def _distinct_labels(train: TableSource) -> list[str]:
    """Return the labels of train, sorted, without those that only a teacher gives."""
    known = teacher_labels(train.columns)
    columns = [LABEL, *([HARD_LABEL] if HARD_LABEL in train.columns else [])]
    labels = sorted(set().union(*(labeled_rows(batch)[LABEL].unique() for batch in train.batches(columns))))
    if HARD_LABEL in train.columns and labels != known:
        raise DataContractError(
            f"The teacher's labels ({', '.join(known)}) are not those of the training rows ({', '.join(labels)}). Add "
            "labeled rows, or correct data.columns.teacher."
        )
    return labels


def _encode_split(
    split: TableSource, encoding: Callable[[pd.DataFrame], EncodedBatch], folder: Path, mapper: BatchMapper
) -> EncodedRows:
    batches = split.batches(encoded_columns(split.columns))
    rows = EncodedRows.collect(mapper(encoding, batches), folder)
    if unseen := rows.unseen_labels:
        raise DataContractError(
            f"Labels that never occur in train: {', '.join(sorted(unseen))}. Run `dvc repro` to split the rows again."
        )
    return rows


def _describe(rows: EncodedRows, max_length: int) -> dict[str, Any]:
    """Describe the tokens of one split before truncation."""
    lengths_N = rows.lengths_N
    if len(lengths_N) == 0:
        return {"rows": 0}
    quantiles = {f"p{level * 100:g}": float(np.quantile(lengths_N, level)) for level in REPORTED_QUANTILES}
    return {
        "rows": len(lengths_N),
        "tokens": int(lengths_N.sum()),
        "unknown_rate": round(rows.unknown_tokens / int(lengths_N.sum()), 6),
        "length": {
            "mean": round(float(lengths_N.mean()), 4),
            "median": float(np.median(lengths_N)),
            "max": int(lengths_N.max()),
            **quantiles,
        },
        "truncated_rate": round(float((lengths_N > max_length).mean()), 6),
    }
