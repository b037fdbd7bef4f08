"""Section of MLflow. No stage depends on it, so moving the store does not retrain the model."""

from typing import Annotated

from pydantic import Field

from atnet.config.section import Section


class TrackingConfig(Section):
    """Where MLflow keeps runs and models."""

    uri: str
    artifact_location: str
    experiment: str
    timeout_seconds: Annotated[int, Field(ge=1)]
    model_name: str
