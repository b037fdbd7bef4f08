"""Collect the inputs of the gate: both models' predictions, each from a separate process. Nothing is decided here."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from atnet import files
from atnet.config import ReleaseConfig
from atnet.errors import DataFileError, ModelError, ReleaseError, StoreError
from atnet.evaluation.selective import RejectOption
from atnet.inference import MODEL_FILES
from atnet.isolated.process import IsolatedModel, open_isolated
from atnet.isolated.virtual_environment import isolated_python
from atnet.published_model import MODEL_FOLDER
from atnet.registry.artifacts import REQUIREMENTS, train_hashes, verified_files
from atnet.registry.versions import Registry, Version
from atnet.release.behavior.runner import run_suites
from atnet.release.behavior.suites import Suite
from atnet.release.gate.result import CheckResult, CheckStatus
from atnet.release.gate.scored_models import GateInputs, GoldenPredictions, ModelPredictions, ScoredModel
from atnet.release.golden import read_golden
from atnet.schema import ID, TEXT
from atnet.storage import read_json, read_table

logger = logging.getLogger(__name__)

SERVABLE = "servable"
SERVABLE_RULE = "predicts its own example in a fresh process without TensorFlow, Keras and the project"
ISOLATED_RULE = "predicts its own example in a new environment with only its declared requirements"
TIMED_TEXTS = 100


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
class _OpenModel:
    """A version that is loaded in a separate process."""

    version: Version
    process: IsolatedModel
    folder: Path

    def predict(self, table: pd.DataFrame) -> ModelPredictions:
        labels, probabilities = self.process.predict(table[TEXT].tolist())
        return ModelPredictions(self.version.sha256, labels, table[ID].tolist(), probabilities)

    def score(self, test: pd.DataFrame) -> ScoredModel:
        latency_ms = self.process.median_ms(test[TEXT].head(TIMED_TEXTS).tolist())
        return ScoredModel(self.predict(test), train_hashes(self.folder), latency_ms)

    def reject_option(self) -> RejectOption | None:
        return RejectOption.of_config(read_json(self.folder / MODEL_FOLDER / files.INFERENCE_CONFIG.name))


@dataclass(frozen=True, slots=True)
class _Challenger:
    model: _OpenModel
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
    test = read_table(root / files.split_table("test"))
    with ExitStack() as stack:
        challenger = _open_challenger(stack, registry, candidate.challenger, options)
        if isinstance(challenger, CheckResult):
            return challenger
        new = challenger.model
        old = _open_champion(stack, registry, candidate.champion) if candidate.champion else None
        logger.info("Version %s: predicting %s test rows.", candidate.challenger.number, f"{len(test):,}")
        return GateInputs(
            test=test,
            challenger=replace(new.score(test), reject_option=new.reject_option()),
            champion=old.score(test) if old else None,
            baselines=_baselines(root / files.BASELINE_PREDICTIONS, test),
            behavior=run_suites(
                [Suite.load(root / name) for name in config.behavior.suites],
                new.predict(test.head(1)).labels,
                lambda texts: new.process.predict(texts).probabilities,
            ),
            size_bytes=sum((new.folder / MODEL_FOLDER / name).stat().st_size for name in MODEL_FILES),
            servable=challenger.servable,
            golden=_predict_golden(config, root, new, old),
        )


def _open_challenger(
    stack: ExitStack, registry: Registry, version: Version, options: IsolationOptions
) -> _Challenger | CheckResult:
    logger.info("Version %s: loading it in a separate process.", version.number)
    # Damaged files are an error, not a finding about the model.
    folder = stack.enter_context(verified_files(registry, version))
    try:
        model = _OpenModel(version, stack.enter_context(open_isolated(folder)), folder)
        rows = model.process.predict_example()
    except ModelError as error:
        reason = f"The version does not load where models are served ({error}). Fix the export and publish again."
        return CheckResult(SERVABLE, "failed", "no prediction", SERVABLE_RULE, reason)
    if options.isolated:
        logger.info("Version %s: loading it in a separate environment.", version.number)
        return _Challenger(model, _check_isolated(folder, options))
    servable = CheckResult(SERVABLE, "passed", f"predicted {rows} rows", SERVABLE_RULE, "The version can be served.")
    return _Challenger(model, servable)


def _open_champion(stack: ExitStack, registry: Registry, champion: Version) -> _OpenModel:
    try:
        folder = stack.enter_context(verified_files(registry, champion))
        return _OpenModel(champion, stack.enter_context(open_isolated(folder)), folder)
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


def _baselines(path: Path, test: pd.DataFrame) -> dict[str, list[str]]:
    predictions = read_table(path).set_index(ID)
    missing = test.loc[~test[ID].isin(predictions.index), ID]
    if len(missing):
        raise DataFileError(f"{path} lacks row {missing.iloc[0]} of the test split. Run `dvc repro`.")
    ordered = predictions.loc[test[ID]]
    return {str(name): ordered[name].tolist() for name in ordered.columns}


def _predict_golden(
    config: ReleaseConfig, root: Path, challenger: _OpenModel, champion: _OpenModel | None
) -> GoldenPredictions | None:
    if config.golden is None:
        return None
    table = read_golden(root / config.golden.path)
    return GoldenPredictions(table, challenger.predict(table), champion.predict(table) if champion else None)
