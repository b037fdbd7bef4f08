"""The default data: download, cache, parsing and the stage `sample`."""

import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from atnet.data import default_data
from atnet.data.default_data import cached_archive, download_archive, parse_archive
from atnet.data.reader import read_labeled_texts
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


def tar_gz(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return stream.getvalue()


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Pin an archive with the same folders and few texts."""
    inner = tar_gz({default_data.DOMAIN_FILES[domain]: text.encode() for domain, text in TEXTS.items()})
    outer = tar_gz({default_data.INNER_ARCHIVE: inner})
    monkeypatch.setattr(default_data, "ARCHIVE_SHA256", hashlib.sha256(outer).hexdigest())
    return outer


@pytest.fixture
def downloads(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace pip by a function that records its calls."""
    calls: list[Path] = []

    def download(folder: Path) -> Path:
        calls.append(folder)
        path = folder / default_data.ARCHIVE_NAME
        path.write_bytes(archive)
        return path

    monkeypatch.setattr(default_data, "download_archive", download)
    return calls


def failing_pip(stderr: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)


def test_texts_are_unchanged_and_ids_start_with_their_domain(archive: bytes) -> None:
    table = parse_archive(archive)

    assert list(table.columns) == ["id", "domain", "rating", "text"]
    assert list(table["id"]) == ["amazon-1_1", "amazon-1_2", "movie-1", "nyt-1_1", "tweets-1", "tweets-2"]
    assert list(table["rating"]) == [-0.9, 2, 2.26666666667, 0, -3, 0.25]
    assert table["text"][0] == 'a "quoted, text'
    assert table["text"][2] == "léger – good"
    assert table["text"][4] == "RT &amp; more\ttabs :("


def test_the_archive_is_downloaded_once(tmp_path: Path, downloads: list[Path], archive: bytes) -> None:
    assert cached_archive(tmp_path / "cache") == archive
    assert cached_archive(tmp_path / "cache") == archive

    assert len(downloads) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [default_data.ARCHIVE_NAME]


def test_a_damaged_cached_archive_is_downloaded_again(tmp_path: Path, downloads: list[Path], archive: bytes) -> None:
    (tmp_path / default_data.ARCHIVE_NAME).write_bytes(archive[:-10])

    assert cached_archive(tmp_path) == archive
    assert (tmp_path / default_data.ARCHIVE_NAME).read_bytes() == archive
    assert len(downloads) == 1


def test_validate_reads_the_table_that_the_stage_writes(
    tmp_path: Path, downloads: list[Path], archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATNET_CACHE", str(tmp_path / "cache"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    table = tmp_path / DEFAULT_DATA

    assert main(["--root", str(tmp_path)]) == 0
    contents = table.read_bytes()
    assert main(["--root", str(tmp_path)]) == 0

    assert table.read_bytes() == contents
    assert list(read_labeled_texts(table, params_with().data).table["text"]) == list(parse_archive(archive)["text"])


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("WARNING: Retrying (Retry(total=0))\nERROR: No matching distribution", "registry: it does not answer"),
        ("ERROR: No space left on device", "registry: ERROR: No space left on device"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "served a vaderSentiment==3.3.2"),
        ("python: No module named pip", "pip is missing"),
        ("", "pip printed no reason"),
    ],
)
def test_if_pip_fails_the_message_has_the_reason_and_how_to_use_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, expected: str
) -> None:
    failing_pip(stderr, monkeypatch)

    with pytest.raises(StoreError) as raised:
        cached_archive(tmp_path)

    assert expected in str(raised.value)
    assert "set data.path in params.yaml to your file" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_stage_ends_with_one_message_if_the_registry_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_pip("WARNING: Retrying (", monkeypatch)
    monkeypatch.setenv("ATNET_CACHE", str(tmp_path / "cache"))
    shutil.copy(ROOT / "params.yaml", tmp_path)

    assert main(["--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("sample: The default data could not be downloaded")
    assert not (tmp_path / DEFAULT_DATA).exists()


@pytest.mark.slow
def test_the_real_archive_contains_the_documented_texts(tmp_path: Path) -> None:
    table = parse_archive(download_archive(tmp_path).read_bytes())

    assert table["domain"].value_counts().to_dict() == {"movie": 10_605, "nyt": 5_190, "tweets": 4_200, "amazon": 3_708}
    assert table["id"].is_unique
    assert (table["rating"].abs() <= 0.5).sum() == 4_567
