"""Check the optional input files of stage `vectors`, without reading them completely."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from atnet.config import Params
from atnet.data.unlabeled import read_texts
from atnet.errors import ConfigurationError, DataContractError
from atnet.files import DATA_FOLDERS, RAW, optional_file
from atnet.text.pretrained import is_one_word
from atnet.text.tokenization import new_tokenizer
from atnet.text.vector_files import open_vectors
from atnet.text.vector_streams import VectorStream
from atnet.text.word_splitting import count_words

PARSED_WORDS = 1000
"""Words at the start of a file whose values are parsed."""
COMPARED_WORDS = 20_000
"""Words at the start of a file that are compared with the texts."""


def check_vector_inputs(params: Params, texts: Iterable[Sequence[str]] | None, root: Path) -> list[str]:
    """Check `vectors.pretrained` and `vectors.unlabeled`.

    Args:
        params: the parameters.
        texts: the labeled texts in batches; None if they do not exist yet.
        root: the project folder, which paths are relative to.

    Returns:
        A line about each file.

    Raises:
        ConfigurationError: if a file is in the folder of a stage.
        DataFileError: if a file is missing, empty, damaged where it was read or of another format.
        DataContractError: if the vectors have no word of the texts, or the unlabeled file has no text column.
    """
    lines = []
    if (path := optional_file(params.vectors.pretrained)) is not None:
        check_place(path, "vectors.pretrained")
        stream = open_vectors(root / path)
        words = _check_start(stream)
        stream.check_end()
        if texts is not None:
            _check_language(words, texts, params)
        lines += [f"{path}: word vectors of {stream.dimensions} values.", *_notes(params)]
    if (path := optional_file(params.vectors.unlabeled)) is not None:
        check_place(path, "vectors.unlabeled")
        if next(read_texts(root / path, params.data), None) is None:
            raise DataContractError(f"vectors.unlabeled: {path} has no text. Set another file, or data/none.")
        lines.append(f"{path}: unlabeled texts.")
    return lines


def check_place(path: Path, key: str) -> None:
    """Check that an input file is not inside the folder of a stage, which would delete or depend on it.

    Raises:
        ConfigurationError: with the folder.
    """
    # Not resolve(): DVC may link data files into its cache, and what counts is where the user put them.
    absolute = Path(os.path.abspath(path))
    for folder in DATA_FOLDERS:
        if folder != RAW and absolute.is_relative_to(os.path.abspath(folder)):
            raise ConfigurationError(
                f"{key} {path} is inside {folder}, where the pipeline writes. Move the file to {RAW}."
            )


def _check_start(stream: VectorStream) -> list[str]:
    words: list[str] = []
    for word, values in islice(stream.records(), COMPARED_WORDS):
        if len(words) < PARSED_WORDS:
            stream.parse(values)
        words.append(word.decode("utf-8", errors="replace"))
    return words


def _check_language(words: list[str], texts: Iterable[Sequence[str]], params: Params) -> None:
    tokenizer = new_tokenizer(params.tokenize)
    counts: Counter[str] = Counter()
    for batch in texts:
        counts.update(count_words(batch, tokenizer.normalizer, tokenizer.pre_tokenizer))
    forms = {tokenizer.normalizer.normalize_str(word) for word in words}
    # Marks and numbers are the same in every language.
    common = {word for word in forms & counts.keys() if word[0].isalpha() and is_one_word(word, tokenizer)}
    lowercase = {word for word in counts if word.lower() in forms and word[0].isalpha()}
    if not common | lowercase:
        raise DataContractError(
            f"None of the first {len(words):,} words of {params.vectors.pretrained} occurs in the texts. The file "
            "probably has another language, case or format: set another file in vectors.pretrained."
        )


def _notes(params: Params) -> list[str]:
    if params.vectors.pretrained_license is None or params.vectors.pretrained_source is None:
        return [
            "note: set vectors.pretrained_source and vectors.pretrained_license: the model card states where the "
            "vectors come from."
        ]
    return []
