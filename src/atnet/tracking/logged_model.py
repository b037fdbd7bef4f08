"""The exported model in MLflow: a pyfunc from a code file, logged once for the same content."""

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
import mlflow.pyfunc
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

import atnet.inference
from atnet.model_verification import ARTIFACTS_TAG, MODEL_TAG, artifact_hashes, find_differences, recorded_hashes
from atnet.self_check import write_self_check
from atnet.tracking.store import TrackingStore, client_address

CODE = Path(__file__).resolve().parents[1] / "served_model.py"
INFERENCE = Path(atnet.inference.__file__)
CONTENT_TAG = "content.sha256"
"""Hash of what the model was built from, its files and its code: the same content is logged once."""
REQUIREMENTS = ("mlflow-skinny", "onnxruntime", "tokenizers", "numpy", "pandas")
"""The packages a served model needs; MLflow's pyfunc imports pandas, which mlflow-skinny does not install."""

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
# With this flag MLflow passes the input on unchanged, and the model validates it. Otherwise its server turns a null
# into the text "None" and a number into digits, and silently takes the first of several columns.
SIGNATURE._is_signature_from_type_hint = True


def pinned_requirements() -> list[str]:
    """Return the packages a served model needs, at the versions it was built with."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS]


def save_pyfunc(path: Path, files: Sequence[Path], *, example: Sequence[str], metadata: Model | None = None) -> None:
    """Write an MLflow model folder: the inference code and the model files, those of Keras included.

    The model's predictions of example texts are added to the model files, for whoever loads it to compare with.
    """
    with _folder_of(files) as model:
        write_self_check(model, atnet.inference.Predictor.load(model, threads=1), example)
        mlflow.pyfunc.save_model(
            path=str(path),
            python_model=str(CODE),
            artifacts={"model": str(model), "inference": str(shutil.copy2(INFERENCE, model.parent))},
            signature=SIGNATURE,
            input_example=list(example),
            pip_requirements=pinned_requirements(),
            mlflow_model=metadata or Model(),
        )


@dataclass(frozen=True, slots=True)
class ModelContents:
    """What one logged model is made of."""

    name: str
    model_sha256: str
    files: Sequence[Path]
    params: Mapping[str, str]
    example: Sequence[str]
    """Texts for the input example."""

    def content_sha256(self) -> str:
        """Compute the hash of the files and the inference code."""
        digest = hashlib.sha256()
        for path in (CODE, INFERENCE, *sorted(self.files, key=lambda file: file.name)):
            digest.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()


def ensure_logged_model(store: TrackingStore, run_id: str, contents: ModelContents) -> str:
    """Log the model to the run unless the run has it intact; upload it again if files are missing or damaged.

    Returns:
        The id of the logged model.
    """
    content = contents.content_sha256()
    model = _model_of(store, run_id, content)
    if model is None:
        model = store.client.create_logged_model(
            store.experiment_id,
            name=contents.name,
            source_run_id=run_id,
            tags={CONTENT_TAG: content, MODEL_TAG: contents.model_sha256},
            params=dict(contents.params),
            model_type="text-classifier",
        )
    outputs = store.client.get_run(run_id).outputs
    if outputs is None or model.model_id not in {output.model_id for output in outputs.model_outputs}:
        store.client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
    if not _is_intact(store, model):
        _upload(store, model, run_id, contents)
    return str(model.model_id)


def _is_intact(store: TrackingStore, model: LoggedModel) -> bool:
    recorded = recorded_hashes(model.tags)
    if model.status != LoggedModelStatus.READY or not recorded:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(
                model.artifact_location, dst_path=folder, tracking_uri=client_address(store.uri)
            )
        except (MlflowException, OSError):
            return False
        return not find_differences(recorded, Path(path))


def _upload(store: TrackingStore, model: LoggedModel, run_id: str, contents: ModelContents) -> None:
    metadata = Model(
        artifact_path=model.artifact_location, model_uuid=model.model_id, run_id=run_id, model_id=model.model_id
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save_pyfunc(folder, contents.files, example=contents.example, metadata=metadata)
        # First the hashes, then the files: an interrupted upload is recognized as not intact.
        store.client.set_logged_model_tags(model.model_id, {ARTIFACTS_TAG: json.dumps(artifact_hashes(folder))})
        store.client.log_model_artifacts(model.model_id, str(folder))
    store.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def _model_of(store: TrackingStore, run_id: str, content: str) -> LoggedModel | None:
    models = store.client.search_logged_models([store.experiment_id], filter_string=f"source_run_id = '{run_id}'")
    return next((model for model in models if model.tags.get(CONTENT_TAG) == content), None)


@contextmanager
def _folder_of(files: Sequence[Path]) -> Iterator[Path]:
    # A temporary folder: the model folder may hold other files, and MLflow decodes a path that contains %20.
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        for file in files:
            shutil.copy2(file, folder / file.name)
        yield folder
