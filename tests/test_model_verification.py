"""The comparison of a copy of a published version with its recorded hashes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from atnet.errors import ModelError
from atnet.inference import model_hash
from atnet.model_verification import (
    ARTIFACTS_TAG,
    PublishedVersion,
    artifact_hashes,
    find_differences,
    recorded_hashes,
    verify_copy,
)
from atnet.published_model import INFERENCE_FILE, MODEL_FOLDER
from tests.tinymodel import write_tiny_model

ADVICE = "Download it again."


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path / MODEL_FOLDER)
    (tmp_path / INFERENCE_FILE).write_text("code = 1\n")
    return tmp_path


@pytest.fixture
def version(copy: Path) -> PublishedVersion:
    return PublishedVersion("atnet", 7, model_hash(copy / MODEL_FOLDER), artifact_hashes(copy))


def test_an_intact_copy_passes(version: PublishedVersion, copy: Path) -> None:
    verify_copy(version, copy, advice=ADVICE)


def test_a_changed_and_a_missing_file_are_named_with_the_advice(version: PublishedVersion, copy: Path) -> None:
    (copy / INFERENCE_FILE).write_text("code = 2\n")
    (copy / MODEL_FOLDER / "tokenizer.json").unlink()
    with pytest.raises(ModelError) as raised:
        verify_copy(version, copy, advice=ADVICE)
    assert str(raised.value) == (
        "The files of version 7 are not the ones that were published (artifacts/inference.py has changed; "
        "artifacts/model/tokenizer.json is missing). Download it again."
    )


def test_a_file_that_was_not_published_is_deleted(version: PublishedVersion, copy: Path) -> None:
    bytecode = copy / "artifacts/__pycache__/inference.cpython-311.pyc"
    bytecode.parent.mkdir()
    bytecode.write_bytes(b"other code")
    verify_copy(version, copy, advice=ADVICE)
    assert not bytecode.exists()
    assert artifact_hashes(copy) == version.artifacts


def test_another_model_than_that_of_the_version_is_rejected(version: PublishedVersion, copy: Path) -> None:
    with pytest.raises(ModelError, match="the model has the hash"):
        verify_copy(replace(version, model_sha256="0" * 64), copy, advice=ADVICE)


def test_without_recorded_hashes_nothing_passes(version: PublishedVersion, copy: Path) -> None:
    with pytest.raises(ModelError, match="no hashes are recorded"):
        verify_copy(replace(version, artifacts={}), copy, advice=ADVICE)


@pytest.mark.parametrize("tag", [None, "", "{", "[]", "null"])
def test_a_missing_or_damaged_tag_has_no_hashes(tag: str | None) -> None:
    assert recorded_hashes({} if tag is None else {ARTIFACTS_TAG: tag}) == {}


def test_hashes_are_read_as_they_were_recorded(copy: Path) -> None:
    hashes = artifact_hashes(copy)
    assert recorded_hashes({ARTIFACTS_TAG: json.dumps(hashes)}) == hashes
    assert find_differences(hashes, copy) == []
