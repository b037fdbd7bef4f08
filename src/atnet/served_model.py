"""The registered model. MLflow loads this file as code, next to a copy of inference.py and the model's files.

Nothing of the project may be imported here: where the model is served there is none of it.
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
    """Answers each text with a label, its score, every label's probability and, on request, what each token did."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model's files with the inference code that was shipped with them."""
        inference = load_by_content(Path(context.artifacts["inference"]))
        self._predictor = inference.Predictor.load(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,
        # The one hint MLflow neither warns of nor acts upon: it would refuse arrays for a list[str].
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer for each text.

        Args:
            context: not used; the files are loaded already.
            model_input: a DataFrame column, a list, an array or a Series of texts, or one text.
            params: `attention`: whether to show the weight and the contribution of each token.

        Returns:
            One row per text: label, score, probabilities (label -> probability) and, on request, attention
            (token, start, end, weight, contribution; positions count characters, a contribution is in logits for
            the label, against the others).

        Raises:
            MlflowException: naming the first row that holds no text.
        """
        texts = _texts(model_input)
        if (params or {}).get("attention"):
            return pd.DataFrame([_explained(explanation) for explanation in self._predictor.explain(texts)])
        answers = self._predictor.predict(texts)
        rows = [dict(zip(answers.labels, row, strict=True)) for row in answers.probabilities.tolist()]
        return pd.DataFrame({"label": answers.predicted, "score": answers.scores, "probabilities": rows})


def load_by_content(path: Path) -> ModuleType:
    """Import a file under a name that holds its content's hash, so that two versions live side by side."""
    name = f"inference_{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up while it is being loaded.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _texts(sent: Any) -> list[str]:
    if isinstance(sent, pd.DataFrame):
        sent = _text_column(sent)
    if isinstance(sent, np.ndarray) and sent.ndim == 2 and sent.shape[1] == 1:
        sent = sent[:, 0]
    values = [sent] if isinstance(sent, str) else sent
    if isinstance(values, pd.Series | np.ndarray):
        values = values.tolist()
    if not isinstance(values, list | tuple):
        raise _refused(f"Send a list of texts, or one column named 'text'; this is a {type(sent).__name__}.")
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise _refused(f"Row {row} holds {value!r}, not a text. Leave such rows out, or send an empty string.")
    return list(values)


def _text_column(table: pd.DataFrame) -> pd.Series:
    """Pick the column of texts; of several, one must be named so: ids must not be taken for texts."""
    if TEXT_COLUMN in table.columns:
        return table[TEXT_COLUMN]
    if len(table.columns) != 1:
        raise _refused(
            f"None of the columns {list(table.columns)} is named {TEXT_COLUMN!r}. Name the one with the texts."
        )
    return table.iloc[:, 0]


def _explained(explanation: Any) -> dict[str, Any]:
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


def _refused(message: str) -> MlflowException:
    # INVALID_PARAMETER_VALUE becomes a 400 of the scoring server; any other error is a 500 with a traceback.
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(TextClassifier())
