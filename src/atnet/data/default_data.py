"""The embedded default data: 23,703 short English texts in four domains, each with the mean of about 20 human ratings.

Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014.
The data come inside the source distribution of a Python package (MIT license), fetched with pip.
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
OWN_DATA = "To work without it, set data.path in params.yaml to your own file."


def cached_archive(cache: Path) -> bytes:
    """Give the pinned archive from a cache folder; fetch it with pip if it is not there or damaged.

    Raises:
        StoreError: if the package registry is out of reach or gives other bytes than the pinned ones.
    """
    kept = cache / ARCHIVE_NAME
    if kept.is_file():
        archive = kept.read_bytes()
        if is_pinned(archive):
            return archive
    cache.mkdir(parents=True, exist_ok=True)
    # Beside the kept file, so that the finished one only has to be renamed.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        fetched = fetch_archive(Path(folder))
        archive = fetched.read_bytes()
        fetched.replace(kept)
    return archive


def is_pinned(archive: bytes) -> bool:
    """Tell whether these are the bytes that the project was written for."""
    return hashlib.sha256(archive).hexdigest() == ARCHIVE_SHA256


def fetch_archive(folder: Path) -> Path:
    """Download the archive into a folder with the pip of this environment, which checks its hash.

    Raises:
        StoreError: with pip's last words.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{ARCHIVE_SHA256}\n", encoding="utf-8")
    # The wheel does not hold the data, so the source distribution is asked for.
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
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise _fetch_fault(done.stderr)
    return folder / ARCHIVE_NAME


def parse_archive(archive: bytes) -> pd.DataFrame:
    """Read the rated texts out of the package's source archive.

    Returns:
        Columns id ("<domain>-<id>", as ids repeat across the domains), domain, rating (mean, -4 to 4) and text, as
        written; domains in alphabetical order, rows in the order of the files.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        inner = _member(outer, INNER_ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(inner)) as data:
        parts = [_parse_domain(domain, _member(data, name)) for domain, name in DOMAIN_FILES.items()]
    return pd.concat(parts, ignore_index=True)


def _parse_domain(domain: str, contents: bytes) -> pd.DataFrame:
    # Quotes in these files are part of the text, so no CSV reader is asked.
    rows = [line.split("\t", 2) for line in contents.decode("utf-8").split("\r\n") if line]
    return pd.DataFrame(
        {
            "id": [f"{domain}-{number}" for number, _, _ in rows],
            "domain": domain,
            "rating": [float(rating) for _, rating, _ in rows],
            "text": [text for _, _, text in rows],
        }
    )


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None, f"{name} is no file in the pinned archive"
    return file.read()


def _fetch_fault(words: str) -> StoreError:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    if "DO NOT MATCH THE HASHES" in words:
        return StoreError(
            f"The package registry gave another {REQUIREMENT} than the pinned one. Nothing of it was used: "
            f"ask who runs the registry. {OWN_DATA}"
        )
    if "No module named pip" in words:
        return StoreError(f"pip is missing in this environment. Make it again with `make pipeline`. {OWN_DATA}")
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip said nothing"]
    # Without a network pip ends with "no matching distribution", which is not the cause.
    reason = "it does not answer" if "Retrying (" in words else errors[-1]
    return StoreError(
        f"The default data could not be fetched from the package registry: {reason}. "
        f"Check the network or pip's settings and run `dvc repro` again. {OWN_DATA}"
    )
