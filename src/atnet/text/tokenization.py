"""Fit the tokenizer to the training split and encode texts as token ids.

Ids: 0 padding, 1 unknown, then by frequency (word), merge order (bpe) or likelihood (unigram).
Letters in array names: N texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import Model, WordLevel

from atnet.config import SplitName, TokenizeConfig, VectorsConfig
from atnet.errors import DataContractError
from atnet.schema import ID, LABEL, RATING, TEXT, TEXT_HASH, WEIGHT
from atnet.text.pretrained import summarize as summarize_pretrained
from atnet.text.pretrained import widen_tokenizer
from atnet.text.subwords import bpe_model, frequent_characters, subword_normalizer, subword_splitter, unigram_model
from atnet.text.vector_streams import VectorStream
from atnet.text.word_splitting import (
    PADDING,
    PADDING_ID,
    UNKNOWN,
    UNKNOWN_ID,
    count_words,
    text_normalizer,
    word_splitter,
)

BATCH_TEXTS = 10_000
"""Texts encoded at once."""
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
    """Word vectors of the user's, and the section that says how to use them."""

    stream: VectorStream
    config: VectorsConfig


def tokenize_splits(
    splits: Mapping[SplitName, pd.DataFrame], config: TokenizeConfig, pretrained: Pretrained | None = None
) -> TokenizedSplits:
    """Fit the tokenizer and choose the maximum length on train, then encode all splits.

    Raises:
        DataContractError: if no word of train is frequent enough, a label never occurs in train, or the pretrained
            vectors have no word of train.
        DataFileError: if the file of the pretrained vectors is damaged.
    """
    train_texts = splits["train"][TEXT].tolist()
    tokenizer = fit_tokenizer(train_texts, config)
    vectors_VD, extra = np.zeros((0, 0), np.float32), {}
    if pretrained is not None:
        widened = widen_tokenizer(tokenizer, train_texts, pretrained.stream, pretrained.config)
        vectors_VD, extra = widened.vectors_VD, {"pretrained": widened.report}
    labels = sorted(splits["train"][LABEL].unique().tolist())
    tokens = {name: encode(tokenizer, split[TEXT].tolist()) for name, split in splits.items()}
    max_length = choose_max_length(_lengths(tokens["train"]), config)
    tokenizer.enable_truncation(max_length=max_length)
    return TokenizedSplits(
        tokenizer=tokenizer,
        labels=labels,
        tables={name: _encoded_table(split, tokens[name], labels, max_length) for name, split in splits.items()},
        report={
            "kind": config.kind,
            "vocabulary_size": tokenizer.get_vocab_size(),
            "max_length": max_length,
            "splits": {name: _describe(tokens[name], max_length) for name in splits},
            **extra,
        },
        pretrained_VD=vectors_VD,
    )


def fit_tokenizer(texts: Sequence[str], config: TokenizeConfig) -> Tokenizer:
    """Fit a vocabulary; the same texts give the same bytes in any process.

    Raises:
        DataContractError: if no word is frequent enough.
    """
    tokenizer = new_tokenizer(config)
    tokenizer.model = _fit_model(tokenizer, texts, config)
    if tokenizer.get_vocab_size() <= UNKNOWN_ID + 1:
        raise DataContractError(
            f"No word occurs {config.min_frequency} times in the {len(texts)} training texts. "
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


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> pa.ListArray:
    """Encode texts as lists of int32 ids, as inference does; a text without tokens becomes one unknown token."""
    batches = (texts[start : start + BATCH_TEXTS] for start in range(0, len(texts), BATCH_TEXTS))
    return pa.concat_arrays([_encode_batch(tokenizer, batch) for batch in batches] or [_lists([])])


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


def _fit_model(tokenizer: Tokenizer, texts: Sequence[str], config: TokenizeConfig) -> Model:
    size = config.vocabulary_size
    words = count_words(texts, tokenizer.normalizer, tokenizer.pre_tokenizer)
    if config.kind == "word":
        frequent = (word for word, count in words.items() if count >= config.min_frequency)
        ordered = sorted(frequent, key=lambda word: (-words[word], word))[: size - 2]
        return WordLevel(
            {word: word_id for word_id, word in enumerate([PADDING, UNKNOWN, *ordered])}, unk_token=UNKNOWN
        )
    alphabet = frequent_characters(words, size)
    if config.kind == "bpe":
        return bpe_model(tokenizer, texts, alphabet=alphabet, size=size, min_frequency=config.min_frequency)
    return unigram_model(words, alphabet=alphabet, size=size)


def _encode_batch(tokenizer: Tokenizer, texts: Sequence[str]) -> pa.ListArray:
    return _lists([encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)])


def _lists(rows: list[list[int]]) -> pa.ListArray:
    non_empty = [row or [UNKNOWN_ID] for row in rows]
    offsets = np.cumsum([0, *map(len, non_empty)], dtype=np.int32)
    values = np.fromiter(chain.from_iterable(non_empty), dtype=np.int32, count=offsets[-1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _lengths(tokens: pa.ListArray) -> NDArray[np.int64]:
    return np.asarray(pc.list_value_length(tokens), dtype=np.int64)


def _encoded_table(split: pd.DataFrame, tokens: pa.ListArray, labels: list[str], max_length: int) -> pa.Table:
    class_ids = pd.Index(labels).get_indexer(pd.Index(split[LABEL]))
    if (class_ids < 0).any():
        unseen = sorted(set(split[LABEL]) - set(labels))
        raise DataContractError(
            f"Labels that never occur in train: {', '.join(unseen)}. Run `dvc repro` to split the rows again."
        )
    columns = {
        ID: pa.array(split[ID], pa.string()),
        "tokens": pc.list_slice(tokens, 0, max_length),
        LABEL: pa.array(class_ids, pa.int32()),
        TEXT_HASH: pa.array(split[TEXT_HASH], pa.string()),
    }
    optional = [column for column in (RATING, WEIGHT) if column in split.columns]
    return pa.table(columns | {column: pa.array(split[column], pa.float32(), from_pandas=True) for column in optional})


def _describe(tokens: pa.ListArray, max_length: int) -> dict[str, Any]:
    """Describe the tokens of one split before truncation."""
    lengths_N = _lengths(tokens)
    if len(lengths_N) == 0:
        return {"rows": 0}
    unknown = np.count_nonzero(tokens.flatten().to_numpy() == UNKNOWN_ID)
    quantiles = {f"p{level * 100:g}": float(np.quantile(lengths_N, level)) for level in REPORTED_QUANTILES}
    return {
        "rows": len(lengths_N),
        "tokens": int(lengths_N.sum()),
        "unknown_rate": round(unknown / int(lengths_N.sum()), 6),
        "length": {
            "mean": round(float(lengths_N.mean()), 4),
            "median": float(np.median(lengths_N)),
            "max": int(lengths_N.max()),
            **quantiles,
        },
        "truncated_rate": round(float((lengths_N > max_length).mean()), 6),
    }
