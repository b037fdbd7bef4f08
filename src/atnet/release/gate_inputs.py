"""What the gate judges by: the answers of challenger and champion on the same rows, each in its own process."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atnet import files
from atnet.config import Params
from atnet.errors import DataFileError, ModelError, ReleaseError, StoreError
from atnet.inference import MODEL_FILES
from atnet.isolated.process import IsolatedModel, open_isolated
from atnet.isolated.virtual_environment import isolated_python
from atnet.registry.artifacts import REQUIREMENTS, train_hashes, version_folder
from atnet.registry.versions import Registry, Version
from atnet.release.behavior.runner import Suite, run_suites
from atnet.release.gate.decision import judge
from atnet.release.gate.result import CheckResult, GateResult, Golden, Latency, ModelPredictions
from atnet.schema import ID, LABEL, TEXT
from atnet.storage import read_table

SERVABLE = "servable"
SERVABLE_RULE = "answers its own example in a fresh process without TensorFlow, Keras and the project"
ISOLATED_RULE = "answers its own example in a new environment with only its declared requirements"
TIMED_TEXTS = 100
PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """How a release is open_isolated for."""

    isolated: bool = False
    """Try the model in a new environment with only its declared requirements."""
    allow_unchecked: bool = False
    """Go on where that environment cannot be made."""
    again: bool = False
    """Judge a version anew that people have rejected or rolled back."""
    who: str | None = None
    """Who asks; None: the user of this process."""


def weigh(
    params: Params,
    root: Path,
    registry: Registry,
    *,
    challenger: Version,
    champion: Version | None,
    options: ReleaseOptions,
    tell: Callable[[str], None],
) -> GateResult:
    """Let both versions answer the test rows and judge the challenger.

    Raises:
        ReleaseError: if the champion does not answer.
        AtnetError: if the files to judge by are missing.
    """
    tell(f"version {challenger.number}: loading it in a process of its own")
    with ExitStack() as stack:
        try:
            asked_challenger = _open(stack, registry, challenger)
            rows = asked_challenger.predict_example()
        except ModelError as error:
            return _not_servable(params, challenger, champion, str(error))
        servable = CheckResult(SERVABLE, "passed", f"answered {rows} rows", SERVABLE_RULE, "The version can be served.")
        if options.isolated:
            tell(f"version {challenger.number}: trying it in an environment of its own")
            servable = _isolated(registry, challenger, options.allow_unchecked)
        asked_champion = _asked_champion(stack, registry, champion)
        tell(f"version {challenger.number}: judging it" + (f" beside version {champion.number}" if champion else ""))
        return _judge(
            params, root, registry, (challenger, asked_challenger), (champion, asked_champion), servable=servable
        )


def _judge(
    params: Params,
    root: Path,
    registry: Registry,
    challenger: tuple[Version, IsolatedModel],
    champion: tuple[Version | None, IsolatedModel | None],
    *,
    servable: CheckResult,
) -> GateResult:
    config = params.release
    (new, ask_new), (old, ask_old) = challenger, champion
    test = read_table(root / files.split_table("test"))
    texts = test[TEXT].head(TIMED_TEXTS).tolist()
    behavior = run_suites(
        [Suite.load(root / name) for name in config.behavior.suites],
        _answers(new, ask_new, test.head(1)).labels,
        lambda cases: ask_new.predict(cases).probabilities,
    )
    return judge(
        config,
        test=test,
        challenger=_answers(new, ask_new, test),
        champion=_answers(old, ask_old, test) if old and ask_old else None,
        champion_train_hashes=train_hashes(registry, old) if old else frozenset(),
        baselines=_baselines(root / files.BASELINE_PREDICTIONS, test),
        behavior=behavior,
        size_bytes=sum((root / files.MODEL / name).stat().st_size for name in MODEL_FILES),
        latency=Latency(ask_new.median_ms(texts), ask_old.median_ms(texts) if ask_old else None),
        golden=_golden(params, root, challenger, champion),
        servable=servable,
        rng=np.random.default_rng(config.seed),
        challenger_train_hashes=train_hashes(registry, new),
    )


def _open(stack: ExitStack, registry: Registry, version: Version) -> IsolatedModel:
    # Downloaded here: the child has no credentials for the artifact store.
    return stack.enter_context(open_isolated(stack.enter_context(version_folder(registry, version))))


def _asked_champion(stack: ExitStack, registry: Registry, champion: Version | None) -> IsolatedModel | None:
    if champion is None:
        return None
    try:
        return _open(stack, registry, champion)
    except ModelError as error:
        raise ReleaseError(
            f"The champion, version {champion.number}, does not answer ({error}), so nothing can be compared with it. "
            "Take it back with `atnet rollback --to VERSION`, then release again."
        ) from error


def _not_servable(params: Params, challenger: Version, champion: Version | None, said: str) -> GateResult:
    reason = f"The version does not answer where models are served ({said}). Mend the export, then publish again."
    check = CheckResult(SERVABLE, "failed", "no answer", SERVABLE_RULE, reason)
    return GateResult(
        decision="reject",
        rule=params.release.rule,
        checks=(check,),
        challenger=challenger.sha256,
        champion=champion.sha256 if champion else None,
        rows_compared=0,
        rows_left_out=0,
    )


def _isolated(registry: Registry, challenger: Version, allow_unchecked: bool) -> CheckResult:
    with version_folder(registry, challenger) as folder:
        try:
            python = isolated_python((folder / REQUIREMENTS).read_text(encoding="utf-8"))
        except StoreError as error:
            reason = f"Not checked: {error}. Give --allow-unchecked to release all the same."
            return CheckResult(
                SERVABLE, "not checked" if allow_unchecked else "failed", "not checked", ISOLATED_RULE, reason
            )
        try:
            with open_isolated(folder, python=python) as version:
                rows = version.predict_example()
        except ModelError as error:
            reason = f"With only its declared requirements the version does not answer ({error})."
            return CheckResult(SERVABLE, "failed", "no answer", ISOLATED_RULE, reason)
    return CheckResult(
        SERVABLE, "passed", f"answered {rows} rows", ISOLATED_RULE, "The version can be served anywhere."
    )


def _answers(version: Version, ask: IsolatedModel, table: pd.DataFrame) -> ModelPredictions:
    labels, probabilities = ask.predict(table[TEXT].tolist())
    return ModelPredictions(version.sha256, labels, table[ID].tolist(), probabilities)


def _baselines(path: Path, test: pd.DataFrame) -> dict[str, list[str]]:
    predictions = read_table(path).set_index(ID)
    missing = test.loc[~test[ID].isin(predictions.index), ID]
    if len(missing):
        raise DataFileError(f"{path} has no row {missing.iloc[0]} of the test split. Run `dvc repro`.")
    ordered = predictions.loc[test[ID]]
    return {str(name): ordered[name].tolist() for name in ordered.columns}


def _golden(
    params: Params,
    root: Path,
    challenger: tuple[Version, IsolatedModel],
    champion: tuple[Version | None, IsolatedModel | None],
) -> Golden | None:
    if params.release.golden is None:
        return None
    table = read_golden(root / params.release.golden.path)
    old, ask_old = champion
    return Golden(table, _answers(*challenger, table), _answers(old, ask_old, table) if old and ask_old else None)


def read_golden(path: Path) -> pd.DataFrame:
    """Read the golden set: CSV, JSON Lines or Parquet with the columns id, text and label.

    Raises:
        DataFileError: if it is missing, damaged or lacks a column.
    """
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": pd.read_csv,
        ".jsonl": lambda file: pd.read_json(file, lines=True),
        ".parquet": pd.read_parquet,
    }
    if path.suffix not in readers:
        raise DataFileError(f"{path} is not a golden set: its name ends in none of {', '.join(readers)}.")
    try:
        table = readers[path.suffix](path)
    except FileNotFoundError:
        raise DataFileError(
            f"{path} is missing: release.golden.path names it. Put it there or set golden: null."
        ) from None
    except (ValueError, OSError) as error:
        raise DataFileError(f"{path} cannot be read ({str(error).splitlines()[0]}).") from error
    lacking = [name for name in (ID, TEXT, LABEL) if name not in table.columns]
    if lacking or table.empty:
        raise DataFileError(f"{path} lacks {', '.join(lacking) or 'rows'}: it needs the columns id, text and label.")
    return table.assign(**{name: table[name].astype(str) for name in (ID, TEXT, LABEL)})
