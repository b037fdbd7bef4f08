"""The registered model. MLflow loads this file as code, next to a copy of inference.py and the model's files.

It must not import anything of the project, which is not installed where the model is served.
"""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

TEXT_COLUMN = "text"


class TextClassifier(PythonModel):
    """Predicts label, score and all probabilities of each text and, on request, the contribution of each token."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model's files with the inference code that is shipped with them."""
        inference = load_by_content(Path(context.artifacts["inference"]))
        self._predictor = inference.Predictor.load(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,
        # MLflow ignores this type hint without a warning; for list[str] it would reject arrays.
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predict each text.

        Args:
            context: unused; `load_context` has loaded the files.
            model_input: a DataFrame column, a list, an array or a Series of texts, or a single text.
            params: `attention`: whether to return the attention and the contribution of each token.

        Returns:
            One row per text: label, score, probabilities (label -> probability) and, on request, attention
            (token, start, end, weight, contribution; positions count characters, a contribution is the token's part in
            the label's lead over the other labels, in logits).

        Raises:
            MlflowException: naming the first row that is not a text.
        """
        texts = _texts(model_input)
        if (params or {}).get("attention"):
            return pd.DataFrame([_explanation_row(explanation) for explanation in self._predictor.explain(texts)])
        predictions = self._predictor.predict(texts)
        rows = [dict(zip(predictions.labels, row, strict=True)) for row in predictions.probabilities.tolist()]
        return pd.DataFrame({"label": predictions.predicted, "score": predictions.scores, "probabilities": rows})


def load_by_content(path: Path) -> ModuleType:
    """Import a file under a name that contains its hash, so that several versions can be loaded in one process."""
    name = f"inference_{hashlib.sha256(path.read_bytes()).hexdigest()}"
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


def _texts(model_input: Any) -> list[str]:
    values = _text_column(model_input) if isinstance(model_input, pd.DataFrame) else model_input
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if isinstance(values, pd.Series | np.ndarray):
        values = values.tolist()
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list | tuple):
        raise _bad_request(f"Send a list of texts, or one column named 'text'; this is a {type(model_input).__name__}.")
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise _bad_request(f"Row {row} is {value!r}, not a text. Drop such rows, or send an empty string.")
    return list(values)


def _text_column(table: pd.DataFrame) -> pd.Series:
    """Return the column of texts; of several columns, one must have that name, so that ids are not taken for texts."""
    if TEXT_COLUMN in table.columns:
        return table[TEXT_COLUMN]
    if len(table.columns) != 1:
        raise _bad_request(
            f"None of the columns {list(table.columns)} is named {TEXT_COLUMN!r}. Rename the column with the texts."
        )
    return table.iloc[:, 0]


def _explanation_row(explanation: Any) -> dict[str, Any]:
    tokens = zip(explanation.tokens, explanation.spans, explanation.attention, explanation.contributions, strict=True)
    return {
        "label": explanation.label,
        "score": explanation.score,
        "probabilities": explanation.probabilities,
        "attention": [
            {"token": token, "start": start, "end": end, "weight": weight, "contribution": contribution}
            for token, (start, end), weight, contribution in tokens
        ],
    }


def _bad_request(message: str) -> MlflowException:
    # The scoring server answers INVALID_PARAMETER_VALUE with 400, any other error with 500 and a traceback.
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(TextClassifier())
