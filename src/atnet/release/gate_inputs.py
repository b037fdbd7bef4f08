"""Collect the inputs of the gate: both models' predictions, each from a separate process. Nothing is decided here."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atnet import files
from atnet.config import ReleaseConfig
from atnet.data.repeated_ids import hash_ids
from atnet.errors import DataFileError, ModelError, ReleaseError, StoreError
from atnet.evaluation.slices import ColumnValues
from atnet.inference import MODEL_FILES
from atnet.isolated.process import open_isolated
from atnet.isolated.virtual_environment import isolated_python
from atnet.published_model import MODEL_FOLDER
from atnet.registry.artifacts import REQUIREMENTS, verified_files
from atnet.registry.versions import Registry, Version
from atnet.release.behavior.runner import run_suites
from atnet.release.behavior.suites import Suite
from atnet.release.compared_models import ComparedModels, OpenModel
from atnet.release.gate.gate_rows import GateRows, select_values
from atnet.release.gate.result import CheckResult, CheckStatus
from atnet.release.gate.scored_models import GateInputs
from atnet.release.golden import read_golden
from atnet.schema import ID
from atnet.table_batches import read_batches, read_rows

logger = logging.getLogger(__name__)

SERVABLE = "servable"
SERVABLE_RULE = "predicts its own example in a fresh process without TensorFlow, Keras and the project"
ISOLATED_RULE = "predicts its own example in a new environment with only its declared requirements"
TEST = files.split_table("test")


@dataclass(frozen=True, slots=True)
class Candidate:
    """The version to evaluate and the champion it would replace."""

    challenger: Version
    champion: Version | None


@dataclass(frozen=True, slots=True)
class IsolationOptions:
    """How the challenger is loaded."""

    isolated: bool = False
    """Also load it in a new environment with only its declared requirements."""
    allow_unchecked: bool = False
    """Continue if that environment cannot be created."""


@dataclass(frozen=True, slots=True)
class _Challenger:
    model: OpenModel
    servable: CheckResult


def collect_gate_inputs(
    config: ReleaseConfig, root: Path, registry: Registry, candidate: Candidate, options: IsolationOptions
) -> GateInputs | CheckResult:
    """Load both versions, predict the test rows with each, and collect everything else the gate looks at.

    Returns:
        The inputs, or the failed check `servable` if the challenger does not load and predict.

    Raises:
        ReleaseError: if the champion does not load and predict.
        ProcessInterrupted: if a model's process was killed or timed out, which says nothing about the model.
        AtnetError: if files are missing, or are not the ones that were published.
    """
    with ExitStack() as stack:
        challenger = _open_challenger(stack, registry, candidate.challenger, options)
        if isinstance(challenger, CheckResult):
            return challenger
        new = challenger.model
        old = _open_champion(stack, registry, candidate.champion) if candidate.champion else None
        models = ComparedModels.of(new, old, root / TEST)
        test = models.rows()
        logger.info("Version %s: predicting %s test rows.", candidate.challenger.number, f"{len(test):,}")
        return GateInputs(
            test=test,
            challenger=models.score_challenger(),
            champion=models.score_champion(),
            baselines=_baselines(root, test),
            behavior=run_suites(
                [Suite.load(root / name) for name in config.behavior.suites],
                models.labels,
                lambda texts: new.process.predict(texts).probabilities,
            ),
            size_bytes=sum((new.folder / MODEL_FOLDER / name).stat().st_size for name in MODEL_FILES),
            servable=challenger.servable,
            golden=models.predict_golden(read_golden(root / config.golden.path)) if config.golden else None,
        )


def _open_challenger(
    stack: ExitStack, registry: Registry, version: Version, options: IsolationOptions
) -> _Challenger | CheckResult:
    logger.info("Version %s: loading it in a separate process.", version.number)
    # Damaged files are an error, not a finding about the model.
    folder = stack.enter_context(verified_files(registry, version))
    try:
        model = OpenModel(version, stack.enter_context(open_isolated(folder)), folder)
        rows = model.process.predict_example()
    except ModelError as error:
        reason = f"The version does not load where models are served ({error}). Fix the export and publish again."
        return CheckResult(SERVABLE, "failed", "no prediction", SERVABLE_RULE, reason)
    if options.isolated:
        logger.info("Version %s: loading it in a separate environment.", version.number)
        return _Challenger(model, _check_isolated(folder, options))
    servable = CheckResult(SERVABLE, "passed", f"predicted {rows} rows", SERVABLE_RULE, "The version can be served.")
    return _Challenger(model, servable)


def _open_champion(stack: ExitStack, registry: Registry, champion: Version) -> OpenModel:
    try:
        folder = stack.enter_context(verified_files(registry, champion))
        return OpenModel(champion, stack.enter_context(open_isolated(folder)), folder)
    except ModelError as error:
        raise ReleaseError(
            f"The champion, version {champion.number}, does not load and predict ({error}), so nothing can be compared "
            "with it. Roll back with `atnet rollback --to VERSION`, then release again."
        ) from error


def _check_isolated(folder: Path, options: IsolationOptions) -> CheckResult:
    try:
        python = isolated_python((folder / REQUIREMENTS).read_text(encoding="utf-8"))
        with open_isolated(folder, python=python) as model:
            rows = model.predict_example()
    except StoreError as error:
        status: CheckStatus = "skipped" if options.allow_unchecked else "failed"
        reason = f"Not checked: {error}. Use --allow-unchecked to release without this check."
        return CheckResult(SERVABLE, status, "not checked", ISOLATED_RULE, reason)
    except ModelError as error:
        reason = f"With only its declared requirements the version does not load and predict ({error})."
        return CheckResult(SERVABLE, "failed", "no prediction", ISOLATED_RULE, reason)
    return CheckResult(
        SERVABLE, "passed", f"predicted {rows} rows", ISOLATED_RULE, "The version can be served anywhere."
    )


def _baselines(root: Path, test: GateRows) -> dict[str, ColumnValues]:
    """Read the baselines' predictions in the order of the test rows.

    Raises:
        DataFileError: if they lack a row.
    """
    path = root / files.BASELINE_PREDICTIONS
    keys, parts = [], list[dict[str, ColumnValues]]()
    for batch in read_batches(path):
        keys.append(hash_ids(batch[ID]))
        parts.append({str(name): ColumnValues.of(batch[name]) for name in batch.columns.drop(ID)})
    key_N = np.concatenate(keys)
    sorted_N = np.argsort(key_N, kind="stable")
    ordered_N = key_N[sorted_N]
    start_N, end_N = (np.searchsorted(ordered_N, test.id_N, side) for side in ("left", "right"))
    missing = np.flatnonzero(start_N == end_N)
    if len(missing):
        row = read_rows(root / TEST, missing[:1].tolist())[ID].iloc[0]
        raise DataFileError(f"{path} lacks row {row} of the test split. Run `dvc repro`.")
    # An id that occurs twice has two predictions: `measure` then refuses the number of rows.
    order_N = sorted_N[np.repeat(start_N, end_N - start_N)]
    columns = {name: ColumnValues.concatenated([part[name] for part in parts]) for name in parts[0]}
    return {name: select_values(values, order_N) for name, values in columns.items()}
