"""Fitting the tokenizer and encoding the splits."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from atnet.config import SPLITS, Params, SplitName, TokenizeConfig
from atnet.errors import DataContractError
from atnet.files import LABELS, TOKENIZE_REPORT, TOKENIZER, encoded_split, split_table
from atnet.schema import text_hash
from atnet.stages import tokenize as stage
from atnet.storage import read_json, write_table
from atnet.text.encoded_split import EncodedSplit
from atnet.text.tokenization import choose_max_length, encode, fit_tokenizer, tokenize_splits
from atnet.text.word_splitting import count_words, split_words, text_normalizer, word_splitter
from texts import labelled_texts

KINDS = ("word", "bpe", "unigram")
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


@pytest.fixture
def config(params: Params) -> TokenizeConfig:
    return params.tokenize


def changed(config: TokenizeConfig, **values: Any) -> TokenizeConfig:
    """Copy the section with other values."""
    return config.model_copy(update=values)


def splits_of(table: pd.DataFrame) -> dict[SplitName, pd.DataFrame]:
    """Part a table eight to one to one, with the columns that `split` adds."""
    whole = table.assign(text_hash=table["text"].map(text_hash), group="g")
    parts = np.split(np.arange(len(whole)), [len(whole) * 8 // 10, len(whole) * 9 // 10])
    return {name: whole.iloc[part].reset_index(drop=True) for name, part in zip(SPLITS, parts, strict=True)}


def words_of(text: str, *, lowercase: bool = True, strip_accents: bool = False) -> list[str]:
    """Part one text."""
    return split_words([text], text_normalizer(lowercase=lowercase, strip_accents=strip_accents), word_splitter())[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, it\u2019s well-known!!", ["don't", "stop", ",", "it\u2019s", "well", "-", "known", "!", "!"]),
        ("'quoted' rock'n'roll", ["'", "quoted", "'", "rock'n'roll"]),
        ("A\u00e7\u00e3o, cora\u00e7a\u0303o", ["a\u00e7\u00e3o", ",", "cora\u00e7\u00e3o"]),
        ("我喜欢 カナ", ["我", "喜", "欢", "カ", "ナ"]),
        ("مَرْحَبًا بالعالم،", ["مَرْحَبًا", "بالعالم", "،"]),
        ("کتاب\u200cها", ["کتاب\u200cها"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        (f"ok{FAMILY}!", ["ok", FAMILY, "!"]),
        ("\U0001f44d\U0001f3fd\u2764\ufe0f\U0001f1e7\U0001f1f71\ufe0f\u20e3", None),
        ("100% $3.50 #tag @me a_b", ["100", "%", "$", "3", ".", "50", "#", "tag", "@", "me", "a_b"]),
        ("one\ntwo\u2028three\u00a0four", ["one", "two", "three", "four"]),
        (" \n ", []),
    ],
)
def test_words_marks_and_emoji_of_any_script_are_tokens(text: str, words: list[str] | None) -> None:
    thumb, heart, flag, keycap = "\U0001f44d\U0001f3fd", "\u2764\ufe0f", "\U0001f1e7\U0001f1f7", "1\ufe0f\u20e3"
    assert words_of(text) == (words if words is not None else [thumb, heart, flag, keycap])


def test_case_and_accents_are_folded_only_on_request() -> None:
    assert words_of("Cora\u00e7\u00e3o", lowercase=False) == ["Cora\u00e7\u00e3o"]
    assert words_of("Cora\u00e7\u00e3o", strip_accents=True) == ["coracao"]


def test_counts_of_partitions_add_up_to_those_of_the_whole() -> None:
    texts = [*labelled_texts(100)["text"], "two  blanks \n and\ttabs ", FAMILY]
    parts = text_normalizer(lowercase=True, strip_accents=False), word_splitter()
    whole = count_words(texts, *parts)
    assert whole == count_words(texts[:37], *parts) + count_words(texts[37:], *parts)
    assert whole == Counter(word for words in split_words(texts, *parts) for word in words)
    assert whole.total() == sum(len(parts[1].pre_tokenize_str(parts[0].normalize_str(text))) for text in texts)


def test_words_are_numbered_by_frequency_then_spelling(config: TokenizeConfig) -> None:
    tokenizer = fit_tokenizer(["b b b a a c c d"], config)
    assert tokenizer.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "b": 2, "a": 3, "c": 4, "d": 5}
    frequent = fit_tokenizer(["b b b a a c c d"], changed(config, min_frequency=2))
    assert frequent.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "b": 2, "a": 3, "c": 4}
    small = fit_tokenizer(["b b b a a c c d"], changed(config, vocabulary_size=4))
    assert small.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "b": 2, "a": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_reserved_names_in_a_text_are_not_reserved_tokens(config: TokenizeConfig, kind: str) -> None:
    tokenizer = fit_tokenizer([*labelled_texts(50)["text"], "[PAD] [PAD]"], changed(config, kind=kind))
    assert 0 not in tokenizer.encode("great [PAD] film [PAD]", add_special_tokens=False).ids


@pytest.mark.parametrize("kind", KINDS)
def test_a_character_never_seen_is_unknown(config: TokenizeConfig, kind: str) -> None:
    tokenizer = fit_tokenizer(labelled_texts(50)["text"].tolist(), changed(config, kind=kind))
    assert (tokenizer.token_to_id("[PAD]"), tokenizer.token_to_id("[UNK]")) == (0, 1)
    assert 1 in encode(tokenizer, ["\u2603"]).to_pylist()[0]
    assert encode(tokenizer, ["\u0301\u200b", ""]).to_pylist()[1] == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_accented_words_survive(config: TokenizeConfig, kind: str) -> None:
    texts = labelled_texts(200, "pt")["text"].tolist()
    tokenizer = fit_tokenizer(texts, changed(config, kind=kind))
    pieces = [
        tokenizer.id_to_token(number) for number in encode(tokenizer, ["hist\u00f3ria pe\u0301ssimo"]).to_pylist()[0]
    ]
    assert "".join(pieces).replace("\u2581", "") == "hist\u00f3riap\u00e9ssimo"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_show_where_words_begin(config: TokenizeConfig, kind: str) -> None:
    tokenizer = fit_tokenizer(labelled_texts(200)["text"].tolist(), changed(config, kind=kind, vocabulary_size=300))
    encoded = tokenizer.encode("  not able!\nnotable ", add_special_tokens=False)
    assert "".join(encoded.tokens) == "\u2581not\u2581able!\u2581notable"
    assert tokenizer.get_vocab_size() <= 300


def test_unigram_pieces_fill_the_vocabulary_and_write_text_in_few_pieces(config: TokenizeConfig) -> None:
    texts = labelled_texts(300)["text"].tolist()
    lengths = {}
    for size in (60, 150, 300):
        tokenizer = fit_tokenizer(texts, changed(config, kind="unigram", vocabulary_size=size))
        assert 0.9 * size <= tokenizer.get_vocab_size() <= size
        lengths[size] = len(encode(tokenizer, texts).values)
    assert lengths[60] > lengths[150] > lengths[300]


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_give_the_same_ids_as_the_tokenizer_on_disk(config: TokenizeConfig, kind: str) -> None:
    splits = splits_of(labelled_texts(200, "pt"))
    tokenized = tokenize_splits(splits, changed(config, kind=kind, max_length=9))
    read = Tokenizer.from_str(tokenized.tokenizer.to_str())
    for name, split in splits.items():
        encodings = read.encode_batch_fast(split["text"].tolist(), add_special_tokens=False)
        assert tokenized.tables[name]["tokens"].to_pylist() == [encoding.ids for encoding in encodings]
    assert max(map(len, tokenized.tables["train"]["tokens"].to_pylist())) == 9


def test_the_longest_text_is_stated_or_a_quantile_up_to_the_limit(config: TokenizeConfig) -> None:
    lengths = np.array([3, 5, 5, 8, 400])
    assert choose_max_length(lengths, changed(config, max_length=7)) == 7
    assert choose_max_length(lengths, changed(config, max_length_quantile=0.5)) == 5
    assert choose_max_length(lengths, changed(config, max_length_quantile=1.0)) == 400
    assert choose_max_length(lengths, changed(config, max_length_quantile=1.0, max_length_limit=64)) == 64


def test_the_report_tells_unknown_words_and_lengths(config: TokenizeConfig) -> None:
    splits = splits_of(
        pd.DataFrame({"id": list("abcdefghij"), "text": ["x y"] * 9 + ["x z q w"], "label": ["l", "m"] * 5})
    )
    report = tokenize_splits(splits, changed(config, max_length=3)).report
    assert report["vocabulary_size"] == 4
    assert report["splits"]["test"]["unknown_rate"] == 0.75
    assert report["splits"]["test"]["truncated_rate"] == 1.0
    assert report["splits"]["test"]["length"]["max"] == 4
    assert report["splits"]["train"]["unknown_rate"] == 0


def test_ratings_and_weights_travel_along_where_given(config: TokenizeConfig) -> None:
    table = labelled_texts(50).assign(rating=[None, *[0.5] * 49], weight=2.0)
    train = tokenize_splits(splits_of(table), config).tables["train"]
    assert train.schema.field("rating").type == train.schema.field("weight").type == pa.float32()
    assert train["rating"].null_count == 1
    assert tokenize_splits(splits_of(labelled_texts(50)), config).tables["train"].column_names == [
        "id",
        "tokens",
        "label",
        "text_hash",
    ]


def test_a_vocabulary_without_a_frequent_word_is_refused(config: TokenizeConfig) -> None:
    with pytest.raises(DataContractError, match="No word stands 100 times in the 40 training texts"):
        tokenize_splits(splits_of(labelled_texts(50)), changed(config, min_frequency=100))


def test_a_label_outside_train_is_refused(config: TokenizeConfig) -> None:
    splits = splits_of(labelled_texts(50))
    splits["test"] = splits["test"].assign(label="unheard-of")
    with pytest.raises(DataContractError, match="never stand in train: unheard-of"):
        tokenize_splits(splits, config)


def test_the_stage_writes_what_training_reads(project: Path, tmp_path: Path) -> None:
    splits = splits_of(labelled_texts(100, labels=6))
    for name, split in splits.items():
        write_table(tmp_path / split_table(name), split)
    shutil.copy(project / "params.yaml", tmp_path)
    assert stage.main(["--root", str(tmp_path)]) == 0
    labels = read_json(tmp_path / LABELS)
    assert labels == sorted(labels)
    encoded = EncodedSplit.load(tmp_path / encoded_split("validation"))
    assert [labels[number] for number in encoded.labels] == splits["validation"]["label"].tolist()
    tokenizer = Tokenizer.from_file(str(tmp_path / TOKENIZER))
    assert tokenizer.truncation["max_length"] == read_json(tmp_path / TOKENIZE_REPORT)["max_length"]
    assert tokenizer.padding is None


FIT = """
import sys, hashlib, pandas as pd
from atnet.storage import load_params
from atnet.text.tokenization import fit_tokenizer
texts = pd.read_parquet(sys.argv[2])["text"].tolist()
for kind in ("word", "bpe", "unigram"):
    config = load_params(sys.argv[1]).tokenize.model_copy(update={"kind": kind, "vocabulary_size": 400})
    print(kind, hashlib.sha256(fit_tokenizer(texts, config).to_str().encode()).hexdigest())
"""


def test_every_process_fits_the_same_bytes(project: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "texts.parquet", labelled_texts(400, "pt"))
    command = [sys.executable, "-c", FIT, str(project / "params.yaml"), str(tmp_path / "texts.parquet")]
    runs = [
        subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True)
        for variables in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "TOKENIZERS_PARALLELISM": "false"})
    ]
    printed = [run.communicate()[0] for run in runs]
    assert len(printed[0].splitlines()) == 3
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", ["trec", "toldbr_pt"])
def test_real_texts_are_encoded_with_few_unknown_words(config: TokenizeConfig, datasets: Path, name: str) -> None:
    table = pd.read_csv(datasets / f"{name}.csv.gz", dtype=str).head(5000).rename_axis("id").reset_index()
    report = tokenize_splits(splits_of(table.assign(id=table["id"].astype(str))), config).report
    json.dumps(report)
    assert report["splits"]["train"]["unknown_rate"] < 0.2
    assert 10 < report["max_length"] < 100
