import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from atnet.data import default_data
from atnet.data.default_data import cached_archive, fetch_archive, parse_archive
from atnet.data.reader import load_source
from atnet.errors import StoreError
from atnet.files import DEFAULT_DATA
from atnet.stages.sample import main
from tests.settings import ROOT, params_with

TEXTS = {
    "amazon": '1_1\t-0.9\ta "quoted, text\r\n1_2\t2\tfine',
    "movie": "1\t2.26666666667\tl\u00e9ger \u2013 good",
    "nyt": "1_1\t0\tplain\r\n",
    "tweets": "1\t-3\tRT &amp; more\ttabs :(\r\n2\t0.25\tok",
}


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return stream.getvalue()


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Stand in for the pinned archive: the same folders, few texts."""
    inner = packed({default_data.DOMAIN_FILES[domain]: text.encode() for domain, text in TEXTS.items()})
    outer = packed({default_data.INNER_ARCHIVE: inner})
    monkeypatch.setattr(default_data, "ARCHIVE_SHA256", hashlib.sha256(outer).hexdigest())
    return outer


@pytest.fixture
def fetched(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let pip's place be taken by a function that counts its calls."""
    calls: list[Path] = []

    def fetch(folder: Path) -> Path:
        calls.append(folder)
        path = folder / default_data.ARCHIVE_NAME
        path.write_bytes(archive)
        return path

    monkeypatch.setattr(default_data, "fetch_archive", fetch)
    return calls


def pip_that_says(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=words)

    monkeypatch.setattr(subprocess, "run", run)


def test_texts_are_taken_to_the_letter_and_ids_name_their_domain(archive: bytes) -> None:
    table = parse_archive(archive)

    assert list(table.columns) == ["id", "domain", "rating", "text"]
    assert list(table["id"]) == ["amazon-1_1", "amazon-1_2", "movie-1", "nyt-1_1", "tweets-1", "tweets-2"]
    assert list(table["rating"]) == [-0.9, 2, 2.26666666667, 0, -3, 0.25]
    assert table["text"][0] == 'a "quoted, text'
    assert table["text"][2] == "léger – good"
    assert table["text"][4] == "RT &amp; more\ttabs :("


def test_the_archive_is_fetched_once(tmp_path: Path, fetched: list[Path], archive: bytes) -> None:
    assert cached_archive(tmp_path / "cache") == archive
    assert cached_archive(tmp_path / "cache") == archive

    assert len(fetched) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [default_data.ARCHIVE_NAME]


def test_a_damaged_cached_archive_is_fetched_anew(tmp_path: Path, fetched: list[Path], archive: bytes) -> None:
    (tmp_path / default_data.ARCHIVE_NAME).write_bytes(archive[:-10])

    assert cached_archive(tmp_path) == archive
    assert (tmp_path / default_data.ARCHIVE_NAME).read_bytes() == archive
    assert len(fetched) == 1


def test_the_stage_writes_a_table_that_validate_reads_back(
    tmp_path: Path, fetched: list[Path], archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATNET_CACHE", str(tmp_path / "cache"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    first = tmp_path / DEFAULT_DATA

    assert main(["--root", str(tmp_path)]) == 0
    bytes_before = first.read_bytes()
    assert main(["--root", str(tmp_path)]) == 0

    assert first.read_bytes() == bytes_before
    assert list(load_source(first, params_with().data)["text"]) == list(parse_archive(archive)["text"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("WARNING: Retrying (Retry(total=0))\nERROR: No matching distribution", "registry: it does not answer"),
        ("ERROR: No space left on device", "registry: ERROR: No space left on device"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "another vaderSentiment==3.3.2"),
        ("python: No module named pip", "pip is missing"),
        ("", "pip said nothing"),
    ],
)
def test_when_pip_fails_the_cause_and_the_own_data_way_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, told: str
) -> None:
    pip_that_says(words, monkeypatch)

    with pytest.raises(StoreError) as caught:
        cached_archive(tmp_path)

    assert told in str(caught.value)
    assert "set data.path in params.yaml to your own file" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_stage_ends_with_one_message_when_the_registry_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pip_that_says("WARNING: Retrying (", monkeypatch)
    monkeypatch.setenv("ATNET_CACHE", str(tmp_path / "cache"))
    shutil.copy(ROOT / "params.yaml", tmp_path)

    assert main(["--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("sample: The default data could not be fetched")
    assert not (tmp_path / DEFAULT_DATA).exists()


@pytest.mark.slow
def test_the_real_archive_holds_the_documented_texts(tmp_path: Path) -> None:
    table = parse_archive(fetch_archive(tmp_path).read_bytes())

    assert table["domain"].value_counts().to_dict() == {"movie": 10_605, "nyt": 5_190, "tweets": 4_200, "amazon": 3_708}
    assert table["id"].is_unique
    assert (table["rating"].abs() <= 0.5).sum() == 4_567
