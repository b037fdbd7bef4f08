"""Word splitting, fitting the tokenizer and encoding the splits."""

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

from atnet import inference
from atnet.config import SPLITS, Params, SplitName, TokenizeConfig
from atnet.errors import DataContractError
from atnet.files import LABELS, TOKENIZE_REPORT, TOKENIZER, encoded_split, split_table
from atnet.schema import text_hash
from atnet.stages import tokenize as stage
from atnet.storage import read_json, write_table
from atnet.text.encoded_split import EncodedSplit
from atnet.text.encoding import encode
from atnet.text.tokenization import choose_max_length, fit_tokenizer, tokenize_splits
from atnet.text.word_splitting import UNKNOWN_ID, count_words, split_words, text_normalizer, word_splitter
from tests.texts import labeled_texts

KINDS = ("word", "bpe", "unigram")
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


@pytest.fixture
def config(params: Params) -> TokenizeConfig:
    return params.tokenize


def changed(config: TokenizeConfig, **values: Any) -> TokenizeConfig:
    """Return a copy of the section with other values."""
    return config.model_copy(update=values)


def splits_of(table: pd.DataFrame) -> dict[SplitName, pd.DataFrame]:
    """Split a table 8:1:1, with the columns that stage `split` adds."""
    rows = table.assign(text_hash=table["text"].map(text_hash), group="g")
    parts = np.split(np.arange(len(rows)), [len(rows) * 8 // 10, len(rows) * 9 // 10])
    return {name: rows.iloc[part].reset_index(drop=True) for name, part in zip(SPLITS, parts, strict=True)}


def words_of(text: str, *, lowercase: bool = True, strip_accents: bool = False) -> list[str]:
    """Split one text into words."""
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


def test_inference_and_tokenization_use_the_same_id_for_unknown_words() -> None:
    assert inference.UNKNOWN_ID == UNKNOWN_ID


def test_case_and_accents_are_removed_only_if_configured() -> None:
    assert words_of("Cora\u00e7\u00e3o", lowercase=False) == ["Cora\u00e7\u00e3o"]
    assert words_of("Cora\u00e7\u00e3o", strip_accents=True) == ["coracao"]


def test_word_counts_of_two_batches_add_up_to_those_of_all_texts() -> None:
    texts = [*labeled_texts(100)["text"], "two  blanks \n and\ttabs ", FAMILY]
    normalizer, splitter = text_normalizer(lowercase=True, strip_accents=False), word_splitter()
    counts = count_words(texts, normalizer, splitter)
    assert counts == count_words(texts[:37], normalizer, splitter) + count_words(texts[37:], normalizer, splitter)
    assert counts == Counter(word for words in split_words(texts, normalizer, splitter) for word in words)
    assert counts.total() == sum(len(splitter.pre_tokenize_str(normalizer.normalize_str(text))) for text in texts)


def test_word_ids_are_ordered_by_frequency_then_alphabetically(config: TokenizeConfig) -> None:
    tokenizer = fit_tokenizer(["b b b a a c c d"], config)
    assert tokenizer.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "b": 2, "a": 3, "c": 4, "d": 5}
    frequent = fit_tokenizer(["b b b a a c c d"], changed(config, min_frequency=2))
    assert frequent.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "b": 2, "a": 3, "c": 4}
    small = fit_tokenizer(["b b b a a c c d"], changed(config, vocabulary_size=4))
    assert small.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "b": 2, "a": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_in_a_text_are_ordinary_words(config: TokenizeConfig, kind: str) -> None:
    tokenizer = fit_tokenizer([*labeled_texts(50)["text"], "[PAD] [PAD]"], changed(config, kind=kind))
    assert 0 not in tokenizer.encode("great [PAD] film [PAD]", add_special_tokens=False).ids


@pytest.mark.parametrize("kind", KINDS)
def test_an_unseen_character_is_unknown(config: TokenizeConfig, kind: str) -> None:
    tokenizer = fit_tokenizer(labeled_texts(50)["text"].tolist(), changed(config, kind=kind))
    assert (tokenizer.token_to_id("[PAD]"), tokenizer.token_to_id("[UNK]")) == (0, 1)
    assert 1 in encode(tokenizer, ["\u2603"]).to_pylist()[0]
    assert encode(tokenizer, ["\u0301\u200b", ""]).to_pylist()[1] == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_accented_words_are_kept(config: TokenizeConfig, kind: str) -> None:
    texts = labeled_texts(200, "pt")["text"].tolist()
    tokenizer = fit_tokenizer(texts, changed(config, kind=kind))
    pieces = [
        tokenizer.id_to_token(token_id)
        for token_id in encode(tokenizer, ["hist\u00f3ria pe\u0301ssimo"]).to_pylist()[0]
    ]
    assert "".join(pieces).replace("\u2581", "") == "hist\u00f3riap\u00e9ssimo"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_mark_the_start_of_words(config: TokenizeConfig, kind: str) -> None:
    tokenizer = fit_tokenizer(labeled_texts(200)["text"].tolist(), changed(config, kind=kind, vocabulary_size=300))
    encoded = tokenizer.encode("  not able!\nnotable ", add_special_tokens=False)
    assert "".join(encoded.tokens) == "\u2581not\u2581able!\u2581notable"
    assert tokenizer.get_vocab_size() <= 300


def test_unigram_pieces_fill_the_vocabulary_and_shorten_the_texts(config: TokenizeConfig) -> None:
    texts = labeled_texts(300)["text"].tolist()
    lengths = {}
    for size in (60, 150, 300):
        tokenizer = fit_tokenizer(texts, changed(config, kind="unigram", vocabulary_size=size))
        assert 0.9 * size <= tokenizer.get_vocab_size() <= size
        lengths[size] = len(encode(tokenizer, texts).values)
    assert lengths[60] > lengths[150] > lengths[300]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_have_the_same_ids_as_the_saved_tokenizer(config: TokenizeConfig, kind: str) -> None:
    splits = splits_of(labeled_texts(200, "pt"))
    tokenized = tokenize_splits(splits, changed(config, kind=kind, max_length=9))
    loaded = Tokenizer.from_str(tokenized.tokenizer.to_str())
    for name, split in splits.items():
        encodings = loaded.encode_batch_fast(split["text"].tolist(), add_special_tokens=False)
        assert tokenized.tables[name]["tokens"].to_pylist() == [encoding.ids for encoding in encodings]
    assert max(map(len, tokenized.tables["train"]["tokens"].to_pylist())) == 9


def test_the_maximum_length_is_configured_or_a_quantile_up_to_the_limit(config: TokenizeConfig) -> None:
    lengths = np.array([3, 5, 5, 8, 400])
    assert choose_max_length(lengths, changed(config, max_length=7)) == 7
    assert choose_max_length(lengths, changed(config, max_length_quantile=0.5)) == 5
    assert choose_max_length(lengths, changed(config, max_length_quantile=1.0)) == 400
    assert choose_max_length(lengths, changed(config, max_length_quantile=1.0, max_length_limit=64)) == 64


def test_the_report_has_the_unknown_rate_and_the_lengths(config: TokenizeConfig) -> None:
    splits = splits_of(
        pd.DataFrame({"id": list("abcdefghij"), "text": ["x y"] * 9 + ["x z q w"], "label": ["l", "m"] * 5})
    )
    report = tokenize_splits(splits, changed(config, max_length=3)).report
    assert report["vocabulary_size"] == 4
    assert report["splits"]["test"]["unknown_rate"] == 0.75
    assert report["splits"]["test"]["truncated_rate"] == 1.0
    assert report["splits"]["test"]["length"]["max"] == 4
    assert report["splits"]["train"]["unknown_rate"] == 0


def test_ratings_and_weights_are_kept(config: TokenizeConfig) -> None:
    table = labeled_texts(50).assign(rating=[None, *[0.5] * 49], weight=2.0)
    train = tokenize_splits(splits_of(table), config).tables["train"]
    assert train.schema.field("rating").type == train.schema.field("weight").type == pa.float32()
    assert train["rating"].null_count == 1
    assert tokenize_splits(splits_of(labeled_texts(50)), config).tables["train"].column_names == [
        "id",
        "tokens",
        "label",
        "text_hash",
    ]


def test_texts_without_a_frequent_word_are_refused(config: TokenizeConfig) -> None:
    with pytest.raises(DataContractError, match="No word occurs 100 times in the 40 training texts"):
        tokenize_splits(splits_of(labeled_texts(50)), changed(config, min_frequency=100))


def test_a_label_that_never_occurs_in_train_is_refused(config: TokenizeConfig) -> None:
    splits = splits_of(labeled_texts(50))
    splits["test"] = splits["test"].assign(label="unheard-of")
    with pytest.raises(DataContractError, match="never occur in train: unheard-of"):
        tokenize_splits(splits, config)


def test_training_reads_the_files_of_the_stage(project: Path, tmp_path: Path) -> None:
    splits = splits_of(labeled_texts(100, labels=6))
    for name, split in splits.items():
        write_table(tmp_path / split_table(name), split)
    shutil.copy(project / "params.yaml", tmp_path)
    assert stage.main(["--root", str(tmp_path)]) == 0
    labels = read_json(tmp_path / LABELS)
    assert labels == sorted(labels)
    encoded = EncodedSplit.load(tmp_path / encoded_split("validation"))
    assert [labels[class_id] for class_id in encoded.labels] == splits["validation"]["label"].tolist()
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


def test_every_process_fits_a_tokenizer_with_the_same_bytes(project: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "texts.parquet", labeled_texts(400, "pt"))
    command = [sys.executable, "-c", FIT, str(project / "params.yaml"), str(tmp_path / "texts.parquet")]
    runs = [
        subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True)
        for variables in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "TOKENIZERS_PARALLELISM": "false"})
    ]
    printed = [run.communicate()[0] for run in runs]
    assert len(printed[0].splitlines()) == 3
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", ["trec", "toldbr_pt"])
def test_real_texts_have_few_unknown_words(config: TokenizeConfig, datasets: Path, name: str) -> None:
    table = pd.read_csv(datasets / f"{name}.csv.gz", dtype=str).head(5000).rename_axis("id").reset_index()
    report = tokenize_splits(splits_of(table.assign(id=table["id"].astype(str))), config).report
    json.dumps(report)
    assert report["splits"]["train"]["unknown_rate"] < 0.2
    assert 10 < report["max_length"] < 100
