"""Paths of the pipeline's files, relative to the project folder: one numbered folder per stage.

The folders are fixed: DVC deletes a stage's outputs before the stage runs, so with a configurable folder a wrong
setting could delete files that the pipeline did not write.
"""

from pathlib import Path

PARAMS_FILE = Path("params.yaml")
EXPECTATIONS = Path("expectations.yaml")
"""The default of `validate.expectations`."""
NO_FILE = Path("data/none")
"""The value in params.yaml that means no file, for an optional input file.

DVC needs an existing file for every dependency, so null is not possible there.
"""
DVC_FILE = Path("dvc.yaml")
DVC_LOCK = Path("dvc.lock")

RAW = Path("data/01_raw")
DEFAULT_DATA = RAW / "sentiment.csv"

VALIDATED = Path("data/02_validated")
VALIDATED_TABLE = VALIDATED / "table.parquet"
QUARANTINE = VALIDATED / "quarantine.parquet"
VALIDATION_REPORT = VALIDATED / "report.json"
VALIDATION_PAGE = VALIDATED / "report.html"
DATA_DOCS = VALIDATED / "docs"
DATA_DOCS_PAGES = (
    DATA_DOCS / "index.html",
    *(DATA_DOCS / kind / f"{suite}.html" for kind in ("expectations", "validations") for suite in ("rows", "table")),
)
"""A page is a separate output, so that DVC deletes no other file of the folder."""

SPLITS = Path("data/03_splits")
SPLIT_REPORT = SPLITS / "report.json"

TOKENS = Path("data/04_tokens")
TOKENIZER = TOKENS / "tokenizer.json"
LABELS = TOKENS / "labels.json"
PRETRAINED_VECTORS = TOKENS / "pretrained.npy"
TOKENIZE_REPORT = TOKENS / "report.json"

VECTORS = Path("data/05_vectors")
WORD_VECTORS = VECTORS / "vectors.npy"

BASELINE = Path("data/06_baseline")
BASELINE_METRICS = BASELINE / "metrics.json"
BASELINE_PREDICTIONS = BASELINE / "predictions.parquet"

MODEL = Path("data/07_model")
WEIGHTS = MODEL / "model.weights.h5"
INFERENCE_CONFIG = MODEL / "inference_config.json"
TRAINING_HISTORY = MODEL / "history.csv"

EVALUATION = Path("data/08_evaluation")
METRICS = EVALUATION / "metrics.json"
METRIC_DETAILS = EVALUATION / "details.json"
SLICE_METRICS = EVALUATION / "slices.json"
PREDICTIONS = EVALUATION / "predictions.parquet"
PLOTS = EVALUATION / "plots"
REPORT = EVALUATION / "report.html"

PUBLISHED = Path("data/09_published")
RECEIPT = PUBLISHED / "receipt.json"

DATA_FOLDERS = (RAW, VALIDATED, SPLITS, TOKENS, VECTORS, BASELINE, MODEL, EVALUATION, PUBLISHED)

STATE = Path(".atnet")
"""What commands keep between two calls: locks, checkpoints, studies, copies of the ledger. Not in git."""
LAST_BACKUP = STATE / "backup.json"
"""When the last verified backup was written, and where."""
SPILL = STATE / "spill"
"""Temporary folders of stages whose data do not fit into memory."""
FLOW_LOCK = STATE / "flow.lock"
"""Locked by a flow while it runs in the project."""


def optional_file(value: str) -> Path | None:
    """Return the path in a parameter; None if it is NO_FILE."""
    return None if Path(value) == NO_FILE else Path(value)


def split_table(split: str) -> Path:
    """Return the file of a split's rows."""
    return SPLITS / f"{split}.parquet"


def encoded_split(split: str) -> Path:
    """Return the file of a split's token ids."""
    return TOKENS / f"{split}.arrow"
