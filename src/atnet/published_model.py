"""The folder of a registered model: where its files stand in it, how they are hashed, how its code is loaded.

It imports the standard library only: the service reads it without MLflow, MLflow's side without the service.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

CODE_FILE = "served_model.py"
"""MLflow's entry point."""
INFERENCE_FILE = "artifacts/inference.py"
"""The code from text to probability."""
MODEL_FOLDER = "artifacts/model"
"""The files of the model."""
CONTENT_TAG = "content.sha256"
"""Tag of a logged model: hash of everything in it, the files of the model and the code that answers."""


def content_hash(code: Iterable[Path], files: Iterable[Path]) -> str:
    """Return the SHA-256 over the names and contents of the code, in this order, and of the files, by name."""
    digest = hashlib.sha256()
    for path in (*code, *sorted(files, key=lambda file: file.name)):
        digest.update(f"{path.name}:{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_inference(folder: Path) -> ModuleType:
    """Import a version's own inference code under a name that holds its hash.

    Two versions with different code live side by side, and 300 versions with the same code are one module.
    `served_model.py` does the same for itself; it may import nothing of the project.
    """
    path = folder / INFERENCE_FILE
    name = f"inference_{file_sha256(path)}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look up their module while it is being loaded.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
