"""The default data: 23,703 short English texts in four domains, each with the mean of about 20 human ratings.

Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014.
The data are part of the source distribution of a Python package (MIT license), which pip downloads.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pandas as pd

from atnet.errors import StoreError

REQUIREMENT = "vaderSentiment==3.3.2"
ARCHIVE_NAME = "vaderSentiment-3.3.2.tar.gz"
ARCHIVE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAIN_FILES = {
    "amazon": "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
    "movie": "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
    "nyt": "hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt",
    "tweets": "hutto_ICWSM_2014/tweets_GroundTruth.txt",
}
OWN_DATA = "To use your own data instead, set data.path in params.yaml to your file."


def cached_archive(cache: Path) -> bytes:
    """Return the pinned archive from a cache folder; download it if it is not there or damaged.

    Raises:
        StoreError: if the package registry does not answer or serves other bytes than the pinned ones.
    """
    cached = cache / ARCHIVE_NAME
    if cached.is_file():
        archive = cached.read_bytes()
        if is_pinned(archive):
            return archive
    cache.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the finished download only has to be renamed.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        downloaded = download_archive(Path(folder))
        archive = downloaded.read_bytes()
        downloaded.replace(cached)
    return archive


def is_pinned(archive: bytes) -> bool:
    """Return whether the bytes are those of the pinned archive."""
    return hashlib.sha256(archive).hexdigest() == ARCHIVE_SHA256


def download_archive(folder: Path) -> Path:
    """Download the archive into a folder with this environment's pip, which checks its hash.

    Raises:
        StoreError: with the reason that pip printed.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{ARCHIVE_SHA256}\n", encoding="utf-8")
    # The wheel does not contain the data, so pip must download the source distribution.
    options = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--require-hashes"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        *options,
        *quiet,
        "--dest",
        str(folder),
        "-r",
        str(requirements),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise _download_error(finished.stderr)
    return folder / ARCHIVE_NAME


def parse_archive(archive: bytes) -> pd.DataFrame:
    """Read the rated texts from the package's source archive.

    Returns:
        Columns id ("<domain>-<id>", because ids repeat across domains), domain, rating (mean, -4 to 4) and text,
        unchanged; domains in alphabetical order, rows in the order of the files.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        inner = _read_member(outer, INNER_ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(inner)) as data:
        domains = [_parse_domain(domain, _read_member(data, name)) for domain, name in DOMAIN_FILES.items()]
    return pd.concat(domains, ignore_index=True)


def _parse_domain(domain: str, contents: bytes) -> pd.DataFrame:
    # Quotes in these files are part of the text, so no CSV parser may read them.
    rows = [line.split("\t", 2) for line in contents.decode("utf-8").split("\r\n") if line]
    return pd.DataFrame(
        {
            "id": [f"{domain}-{number}" for number, _, _ in rows],
            "domain": domain,
            "rating": [float(rating) for _, rating, _ in rows],
            "text": [text for _, _, text in rows],
        }
    )


def _read_member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None, f"{name} is not a file of the pinned archive"
    return file.read()


def _download_error(stderr: str) -> StoreError:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if "DO NOT MATCH THE HASHES" in stderr:
        return StoreError(
            f"The package registry served a {REQUIREMENT} that differs from the pinned one. It was not used: "
            f"ask the operator of the registry. {OWN_DATA}"
        )
    if "No module named pip" in stderr:
        return StoreError(f"pip is missing in this environment. Rebuild it with `make clean install`. {OWN_DATA}")
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip printed no reason"]
    # Without a network pip ends with "no matching distribution", which is not the cause.
    reason = "it does not answer" if "Retrying (" in stderr else errors[-1]
    return StoreError(
        f"The default data could not be downloaded from the package registry: {reason}. "
        f"Check the network or pip's configuration and run `dvc repro` again. {OWN_DATA}"
    )
