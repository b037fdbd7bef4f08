"""Hashes of files, and of texts in the prediction log and the outputs of batch scoring."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_md5(path: Path) -> str:
    """Return the MD5 of a file's bytes, in hexadecimal, as DVC writes it into dvc.lock."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal; a lone surrogate is encoded too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
