"""The folder of a registered model: where its files are in it, and how its own inference code is loaded.

It imports no MLflow: whoever only runs a model needs none.
"""

import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType

from atnet.file_hashes import file_sha256

INFERENCE_FILE = "artifacts/inference.py"
"""The code from text to probability."""
MODEL_FOLDER = "artifacts/model"
"""The files of the model."""
LOADING = threading.Lock()


def load_inference(folder: Path) -> ModuleType:
    """Import a version's own inference code under a name that contains its hash.

    Two versions with different code live side by side, and versions with the same code are one module.
    `served_model.py` does the same for itself; it may import nothing of the project.
    """
    path = folder / INFERENCE_FILE
    name = f"inference_{file_sha256(path)}"
    # A module is in sys.modules before its code has run: another thread would use it half-loaded.
    with LOADING:
        return sys.modules[name] if name in sys.modules else _import_file(path, name)


def _import_file(path: Path, name: str) -> ModuleType:
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
    return module
