"""The exported model in MLflow: a pyfunc from a code file, logged once for the same contents."""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow.pyfunc
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

import atnet.inference
from atnet.published_model import CONTENT_TAG as CONTENT_TAG
from atnet.published_model import content_hash
from atnet.self_check import write_self_check
from atnet.tracking.runs import MODEL_TAG
from atnet.tracking.store import TrackingStore

CODE = Path(__file__).resolve().parents[1] / "served_model.py"
INFERENCE = Path(atnet.inference.__file__)
REQUIREMENTS = ("mlflow-skinny", "onnxruntime", "tokenizers", "numpy", "pandas")
"""All that the model needs where it is served; MLflow's pyfunc imports pandas, which mlflow-skinny does not bring."""

TOKEN = Object(
    [
        Property("token", DataType.string),
        Property("start", DataType.long),
        Property("end", DataType.long),
        Property("weight", DataType.double),
        Property("contribution", DataType.double),
    ]
)
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string)]),
    outputs=Schema(
        [
            ColSpec(DataType.string, "label"),
            ColSpec(DataType.double, "score"),
            ColSpec(Map(DataType.double), "probabilities"),
            ColSpec(Array(TOKEN), "attention", required=False),
        ]
    ),
    params=ParamSchema([ParamSpec("attention", DataType.boolean, False)]),
)
# As with a signature from type hints, MLflow passes on what was sent as it came, and the model checks it. Otherwise
# its server turns a null into the text "None" and a number into digits, and of several columns takes the first.
SIGNATURE._is_signature_from_type_hint = True


def pinned_requirements() -> list[str]:
    """Name the packages a served model needs, at the versions it was made with."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS]


def save_pyfunc(path: Path, files: Sequence[Path], *, example: Sequence[str], metadata: Model | None = None) -> None:
    """Write an MLflow model folder: the code that answers and the model's files, Keras' among them.

    Beside them stand the model's answers to example texts, which a service compares with its own.
    """
    with _folder_of(files) as model:
        write_self_check(model, atnet.inference.Predictor.load(model, threads=1), example)
        mlflow.pyfunc.save_model(
            path=str(path),
            python_model=str(CODE),
            artifacts={"model": str(model), "inference": str(INFERENCE)},
            signature=SIGNATURE,
            input_example=list(example),
            pip_requirements=pinned_requirements(),
            mlflow_model=metadata or Model(),
        )


def ensure_logged_model(
    store: TrackingStore,
    run_id: str,
    *,
    name: str,
    model_sha256: str,
    files: Sequence[Path],
    params: dict[str, str],
    example: Sequence[str],
) -> str:
    """Log the model to the run unless the run has it already; one left half-way is completed.

    Returns:
        The id of the logged model.
    """
    content = content_hash((CODE, INFERENCE), files)
    model = _model_of(store, run_id, content)
    if model is None:
        tags = {CONTENT_TAG: content, MODEL_TAG: model_sha256}
        model = store.client.create_logged_model(
            store.experiment_id, name=name, source_run_id=run_id, tags=tags, params=params, model_type="text-classifier"
        )
    outputs = store.client.get_run(run_id).outputs
    if outputs is None or model.model_id not in {output.model_id for output in outputs.model_outputs}:
        store.client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
    if model.status != LoggedModelStatus.READY or not store.client.list_logged_model_artifacts(model.model_id):
        _upload(store, model, run_id, files, example)
    return str(model.model_id)


def _upload(
    store: TrackingStore, model: LoggedModel, run_id: str, files: Sequence[Path], example: Sequence[str]
) -> None:
    metadata = Model(
        artifact_path=model.artifact_location, model_uuid=model.model_id, run_id=run_id, model_id=model.model_id
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save_pyfunc(folder, files, example=example, metadata=metadata)
        store.client.log_model_artifacts(model.model_id, str(folder))
    store.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def _model_of(store: TrackingStore, run_id: str, content: str) -> LoggedModel | None:
    models = store.client.search_logged_models([store.experiment_id], filter_string=f"source_run_id = '{run_id}'")
    return next((model for model in models if model.tags.get(CONTENT_TAG) == content), None)


@contextmanager
def _folder_of(files: Sequence[Path]) -> Iterator[Path]:
    # A folder of its own: the model's may hold files that are not the model's.
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        for file in files:
            shutil.copy2(file, folder / file.name)
        yield folder
