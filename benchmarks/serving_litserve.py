"""LitServe on the same `Predictor`, in a separate environment: `python serving_litserve.py FOLDER PORT WORKERS`."""

import sys
from typing import Any

import litserve

from atnet.inference import Predictions, Predictor


class TextClassifier(litserve.LitAPI):
    """Classifies lists of texts."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self.predictor = Predictor.load(sys.argv[1], threads=1)

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        """Return the texts."""
        return list(request["texts"])

    def predict(self, texts: list[str]) -> Predictions:
        """Predict the texts of one request."""
        return self.predictor.predict(texts)

    def encode_response(self, output: Predictions) -> dict[str, Any]:
        """Return the predictions as the other servers do."""
        rows = [dict(zip(output.labels, row, strict=True)) for row in output.probabilities.tolist()]
        scores = output.scores.tolist()
        return {
            "predictions": [
                {"label": label, "score": score, "probabilities": row}
                for label, score, row in zip(output.predicted, scores, rows, strict=True)
            ]
        }


if __name__ == "__main__":
    server = litserve.LitServer(
        TextClassifier(), accelerator="cpu", workers_per_device=int(sys.argv[3]), fast_queue=False
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
