"""The OpenAPI document of the service, with the limits in force."""

from typing import Any

from atnet.config import ServeLimitsConfig
from atnet.serving.service_settings import ServiceSettings

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
ERRORS = {
    "400": "The body is not JSON.",
    "401": "An API key is required.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The content type of the body is not JSON.",
    "422": "The body is not a prediction request, or exceeds the limits.",
    "429": "Too many texts are waiting, or this key has sent too many; Retry-After gives the seconds to wait.",
    "500": "The model failed on these texts.",
    "503": "No model is loaded, or the prediction took too long.",
}


def openapi_document(settings: ServiceSettings, *, needs_key: bool) -> Schema:
    """Return the document, OpenAPI 3.1."""
    document: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": f"{settings.model}: text classification",
            "version": "1",
            "description": f"Serves the version under the alias {settings.config.alias}; every response names it.",
        },
        "paths": {
            "/v1/predict": {"post": _predict(needs_key)},
            "/health": _state("Whether the process is alive.", "Health", ("200",)),
            "/ready": _state("Whether a self-checked model is loaded.", "Ready", ("200", "503")),
            "/metrics": {"get": _text("Metrics for Prometheus, summed over the workers.")},
        },
        "components": {"schemas": _schemas(settings.config.limits)},
    }
    if needs_key:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _predict(needs_key: bool) -> Schema:
    operation: Schema = {
        "operationId": "predict",
        "summary": "Classify one text or a list of texts.",
        "requestBody": {"required": True, "content": _json("PredictionRequest")},
        "responses": {"200": {"description": "One prediction per text, in order.", "content": _json("Predictions")}}
        | {status: {"description": meaning, "content": _json("Error")} for status, meaning in ERRORS.items()},
    }
    return {**operation, "security": [{"key": []}]} if needs_key else operation


def _state(summary: str, schema: str, statuses: tuple[str, ...]) -> Schema:
    responses = {status: {"description": summary, "content": _json(schema)} for status in statuses}
    head = {status: {"description": summary} for status in statuses}
    return {
        "get": {"operationId": schema.lower(), "summary": summary, "responses": responses},
        "head": {"operationId": f"{schema.lower()}Head", "summary": summary, "responses": head},
    }


def _text(summary: str) -> Schema:
    content = {"text/plain": {"schema": STRING}}
    return {
        "operationId": "metrics",
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}},
    }


def _json(schema: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _schemas(limits: ServeLimitsConfig) -> Schema:
    model = _object({"name": STRING, "version": {"type": "integer"}, "sha256": STRING})
    return {
        "PredictionRequest": _prediction_request(limits),
        "Predictions": _object(
            {
                "predictions": {"type": "array", "items": _prediction(), "minItems": 1},
                "model": model,
                "request_id": STRING,
            }
        ),
        "Error": _object({"error": _object({"code": STRING, "message": STRING}), "request_id": STRING}),
        "Health": _object({"status": {"const": "alive"}}),
        "Ready": _ready(model),
    }


def _prediction_request(limits: ServeLimitsConfig) -> Schema:
    plain = {"type": "boolean", "enum": [False]}
    explain = {"type": "boolean", "enum": [True], "description": "Add each word's contribution to the prediction."}
    text = {**STRING, "maxLength": limits.max_characters}
    explained_text = {**STRING, "maxLength": min(limits.max_characters, limits.max_explained_characters)}
    return {
        "oneOf": [
            _object({"text": text, "explain": plain}, ["text"]),
            _object({"texts": _list_of(text, limits.max_texts), "explain": plain}, ["texts"]),
            _object({"text": explained_text, "explain": explain}),
            _object({"texts": _list_of(explained_text, limits.max_explained_texts), "explain": explain}),
        ]
    }


def _list_of(items: Schema, max_items: int) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": max_items}


def _prediction() -> Schema:
    word = _object(
        {
            "word": STRING,
            "start": {"type": "integer", "description": "First character, counted in code points."},
            "end": {"type": "integer", "description": "One past the last character."},
            "contribution": {**NUMBER, "description": "In logits for the label, against the other labels."},
        }
    )
    return _object(
        {
            "label": STRING,
            "score": {**NUMBER, "description": "Probability of the label."},
            "probabilities": {"type": "object", "additionalProperties": NUMBER},
            "abstain": {
                "type": "boolean",
                "description": "Whether the score is too low for an answer; only if the model has a reject option.",
            },
            "words": {"type": "array", "items": word},
            "base": {
                **NUMBER,
                "description": "The label's lead in an empty text; base and contributions sum to the label's lead.",
            },
        },
        ["label", "score", "probabilities"],
    )


def _ready(model: Schema) -> Schema:
    null: Schema = {"type": "null"}
    text_or_null: Schema = {"type": ["string", "null"]}
    registry = _object(
        {
            "reachable": {"type": ["boolean", "null"]},
            "message": text_or_null,
            "rejected_version": {"type": ["integer", "null"]},
            "rejected_reason": text_or_null,
        }
    )
    return _object(
        {
            "status": {"enum": ["ready", "draining", "no model"]},
            "model": {"oneOf": [model, null]},
            "registry": registry,
            "rejected": text_or_null,
        }
    )
