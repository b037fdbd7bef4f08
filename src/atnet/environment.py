"""Make a process independent of settings that other projects and tools left in the environment.

Called first in every command, stage, worker and flow. Variables that could change what is trained, or where it goes,
are dropped or set; those that a user may need are kept and named by `atnet check` and `atnet doctor`.
"""

import io
import os
import re
import sys
import warnings
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from atnet.redaction import install_redaction, redact

TENSORFLOW_SETTINGS = {
    "KERAS_BACKEND": "tensorflow",
    # A folder that can hold no file: keras.json of the home folder is not read, and none is written.
    "KERAS_HOME": os.devnull,
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
IGNORED = re.compile(
    r"KERAS_\w+|TF_USE_LEGACY_KERAS|MPLBACKEND|MATPLOTLIBRC|PYTHONWARNINGS"
    r"|MLFLOW_(REGISTRY_URI|REGISTRY_DIR|TRACKING_DIR|WORKSPACE|RUN_ID|RUN_CONTEXT|EXPERIMENT_(ID|NAME)|ACTIVE_MODEL_ID)"
    r"|_MLFLOW_ACTIVE_MODEL_ID|MLFLOW_(ENABLE_ASYNC_LOGGING|TRUNCATE_LONG_VALUES|LOCK_MODEL_DEPENDENCIES)"
    r"|MLFLOW_(CONFIGURE_LOGGING|ENABLE_SYSTEM_METRICS_LOGGING|DEFAULT_PREDICTION_DEVICE)"
    r"|GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|COMMON_DIR|NAMESPACE)|GX_CLOUD_\w+"
)
"""Variables that would send runs, models or commits elsewhere, or change training, charts or logging."""
IN_EFFECT = re.compile(
    r"MLFLOW_TRACKING_URI|PREFECT_\w+|(HTTPS?|ALL)_PROXY|XLA_FLAGS|TF_XLA_FLAGS|TF_ENABLE_ONEDNN_OPTS"
    r"|TF_DETERMINISTIC_OPS|TF_FORCE_GPU_ALLOW_GROWTH|NVIDIA_TF32_OVERRIDE|CUDA_VISIBLE_DEVICES|OMP_NUM_THREADS|PIP_INDEX_URL|PIP_EXTRA_INDEX_URL|DVC_\w+",
    re.IGNORECASE,
)
"""Variables that take effect and that a user may have set on purpose."""
OWN = frozenset({"PREFECT_SERVER_ANALYTICS_ENABLED", "DVC_ROOT", "DVC_STAGE", "DVC_NO_ANALYTICS"})
"""Set by the project's own tools in their children."""
SYSTEM_VARIABLES = frozenset(
    {
        *("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP"),
        *("SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    }
)
COMPUTE_PREFIXES = ("OMP_", "MKL_", "KMP_", "OPENBLAS_", "CUDA_", "NVIDIA_")
TRAINING_VARIABLES = frozenset({"HOME", "USER", "LOGNAME", "USERPROFILE", "XDG_CACHE_HOME"})
TRAINING_PREFIXES = (
    *("PYTHON", "XLA_", "TF_CPP_", "TF_ENABLE_", "TF_NUM_", "TF_XLA_", "TF_DETERMINISTIC_"),
    *("TF_FORCE_", "TF_GPU_", "TF_CUDNN_"),
)

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
DOTENV = Path(".env")
"""Prefect reads settings from this file in the current folder."""

_ignored: set[str] = set()


def prepare_process() -> None:
    """Make this process independent of outside settings; repeated calls change nothing."""
    _ignored.update(sanitize(os.environ))
    _allow_owner_access()
    _escape_unprintable_characters()
    install_redaction()


def sanitize(environment: MutableMapping[str, str]) -> list[str]:
    """Drop and set variables in place and return the names of those whose values are ignored."""
    ignored = [
        name
        for name in environment
        if IGNORED.fullmatch(name) and environment[name] != TENSORFLOW_SETTINGS.get(name, object())
    ]
    for name in ignored:
        del environment[name]
    if "PYTHONWARNINGS" in ignored:
        # Read when Python starts: with "error", any library's deprecation warning would end the process.
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
    environment.update(TENSORFLOW_SETTINGS)
    # Stores and servers on this machine must not be reached through a proxy.
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in environment.get(name, "").split(",") if host]
        environment[name] = ",".join([*hosts, *(host for host in LOCAL_HOSTS if host not in hosts)])
    return sorted(ignored)


def reduced_environment(
    extra: Mapping[str, str], *, training: bool = False, source: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Build a child's environment from an allow-list, so that no credential reaches it.

    Args:
        extra: variables set for the child.
        training: also pass what configures Python, TensorFlow and the caches in the home folder.
        source: the environment to choose from; by default that of this process.
    """
    names = SYSTEM_VARIABLES | TRAINING_VARIABLES if training else SYSTEM_VARIABLES
    prefixes = ("LC_", *COMPUTE_PREFIXES, *(TRAINING_PREFIXES if training else ()))
    allowed = {
        name: value
        for name, value in (os.environ if source is None else source).items()
        if name.upper() in names or name.startswith(prefixes)
    }
    return {**allowed, **extra}


def threads_per_process(processes: int, cores: int | None = None) -> int | None:
    """Divide the cores among processes; a single one uses as many threads as TensorFlow chooses (None)."""
    return None if processes == 1 else max(1, (cores or os.cpu_count() or 1) // processes)


def thread_variables(threads: int | None) -> dict[str, str]:
    """Return the variables that limit the threads of TensorFlow and OpenMP; none for None."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return {} if threads is None else dict.fromkeys(names, str(threads))


def environment_notes(folder: Path) -> list[str]:
    """Describe the outside settings of this process and folder: what is ignored, and what takes effect."""
    notes = []
    if _ignored:
        notes.append(f"ignored, because the project does not use them: {', '.join(sorted(_ignored))}")
    active = {
        name: value for name, value in os.environ.items() if value and IN_EFFECT.fullmatch(name) and name not in OWN
    }
    notes += [f"in effect: {name}={redact(active[name])}" for name in sorted(active)]
    notes += _dotenv_notes(folder / DOTENV)
    encoding = sys.getfilesystemencoding()
    if encoding.lower().replace("-", "") != "utf8":
        notes.append(
            f"file names are encoded as {encoding}: set LC_ALL=C.UTF-8 (or PYTHONUTF8=1) if names have accents"
        )
    return notes


def _dotenv_notes(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return [f"{path.name} is not UTF-8, and Prefect's flows cannot start with it here: move it or convert it"]
    except OSError:
        return []
    names = sorted(set(re.findall(r"(?m)^\s*(?:export\s+)?(PREFECT_\w+)\s*=", text)))
    return [f"{path.name} sets {', '.join(names)}, which Prefect reads"] if names else []


def _allow_owner_access() -> None:
    mask = os.umask(0o077)
    # With a mask of 0o777 the process could not read what it has just written.
    os.umask(mask & 0o077)


def _escape_unprintable_characters() -> None:
    """Print characters the terminal's encoding cannot show as escape sequences, so that no label crashes a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
