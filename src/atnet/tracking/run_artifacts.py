"""The artifacts of a run: uploaded once, and again if they were lost or damaged in the store."""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mlflow.exceptions import MlflowException

from atnet.file_hashes import file_sha256
from atnet.files import DVC_LOCK, PARAMS_FILE
from atnet.redaction import redact
from atnet.tracking.run_contents import RunContents
from atnet.tracking.store import TrackingStore

MANIFEST = "published.json"
"""Artifact that lists the hash of every uploaded file; uploaded last."""


def upload_artifacts(store: TrackingStore, run_id: str, contents: RunContents, root: Path) -> None:
    """Upload the files that the run lacks or has with other contents; the manifest comes last."""
    files = _files(contents, root)
    texts = {"evaluation/settings.json": _json(contents.settings), **_redacted_params(root)}
    wanted = {name: file_sha256(path) for name, path in files.items()}
    wanted |= {name: _text_sha256(text) for name, text in texts.items()}
    texts = {**texts, MANIFEST: _json(wanted)}
    wanted[MANIFEST] = _text_sha256(texts[MANIFEST])
    stored = _stored_hashes(store, run_id, wanted)
    for name in [name for name in wanted if stored.get(name) != wanted[name]]:
        if name in texts:
            store.client.log_text(run_id, texts[name], name)
        else:
            store.client.log_artifact(run_id, str(files[name]), str(Path(name).parent) if "/" in name else None)


def _files(contents: RunContents, root: Path) -> dict[str, Path]:
    lock = {str(DVC_LOCK): root / DVC_LOCK} if (root / DVC_LOCK).exists() else {}
    return {**contents.artifacts, **lock}


def _redacted_params(root: Path) -> dict[str, str]:
    """Return params.yaml without its secrets: more people may see a run than may read the repository."""
    path = root / PARAMS_FILE
    return {str(PARAMS_FILE): redact(path.read_text(encoding="utf-8"))} if path.exists() else {}


def _stored_hashes(store: TrackingStore, run_id: str, names: Iterable[str]) -> dict[str, str]:
    """Compute the hash of each of these artifacts that the run has: a file may have been damaged in the store."""
    present = {entry.path for entry in store.client.list_artifacts(run_id)}
    hashes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for top in present.intersection(Path(name).parts[0] for name in names):
            # What cannot be fetched is uploaded again.
            with contextlib.suppress(MlflowException, OSError):
                store.client.download_artifacts(run_id, top, folder)
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                hashes[name] = file_sha256(path)
    return hashes


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
