"""The MLflow run that shows how often a challenger agrees with the champion on live texts."""

from dataclasses import dataclass
from datetime import datetime

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from atnet.errors import StoreError

VERSIONS_TAG = "shadow.versions"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts over the texts that both versions have predicted."""

    agreed: int
    disagreed: int
    score_difference: float
    """Sum over the texts of |champion's score - challenger's probability of that label|."""

    def __sub__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.agreed - other.agreed,
            self.disagreed - other.disagreed,
            self.score_difference - other.score_difference,
        )

    @property
    def texts(self) -> int:
        """Number of texts that both have predicted."""
        return self.agreed + self.disagreed


def log_agreement(uri: str, experiment: str, versions: tuple[int, int], agreement: Agreement, *, now: datetime) -> None:
    """Add a point to the run of a pair of versions (champion, challenger), unless no text was predicted by both.

    Raises:
        StoreError: if the store does not answer.
    """
    if not agreement.texts:
        return
    values = {
        "shadow/agreement": agreement.agreed / agreement.texts,
        "shadow/mean_score_difference": agreement.score_difference / agreement.texts,
        "shadow/texts": float(agreement.texts),
    }
    time = int(1000 * now.timestamp())
    try:
        client = MlflowClient(tracking_uri=uri)
        run_id = _ensure_run(client, experiment, versions)
        client.log_batch(run_id, metrics=[Metric(name, value, time, agreement.texts) for name, value in values.items()])
    except (MlflowException, OSError) as error:
        raise StoreError(
            f"The challenger's agreement could not be written to MLflow ({str(error).splitlines()[0]})."
        ) from error


def _ensure_run(client: MlflowClient, name: str, versions: tuple[int, int]) -> str:
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    pair = "{} -> {}".format(*versions)
    runs = client.search_runs([experiment_id], f"tags.`{VERSIONS_TAG}` = '{pair}'", max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    run = client.create_run(experiment_id, tags={VERSIONS_TAG: pair}, run_name=f"shadow of version {versions[1]}")
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)
