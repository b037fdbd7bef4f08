"""The MLflow run that shows how often a challenger agrees with the champion on live texts."""

import time
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from atnet.errors import StoreError

PAIR_TAG = "shadow.versions"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was counted over texts that both versions have answered."""

    agreed: int
    disagreed: int
    difference: float
    """Sum over the texts of |champion's score - challenger's probability of that label|."""

    def __sub__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.agreed - other.agreed, self.disagreed - other.disagreed, self.difference - other.difference
        )

    @property
    def texts(self) -> int:
        """Texts that both have answered."""
        return self.agreed + self.disagreed


def log_agreement(uri: str, experiment: str, versions: tuple[int, int], agreement: Agreement) -> None:
    """Add a point to the run of (champion, challenger); nothing if no text was answered by both.

    Raises:
        StoreError: if the store does not answer.
    """
    if not agreement.texts:
        return
    try:
        client = MlflowClient(tracking_uri=uri)
        run_id = _run(client, experiment, versions)
        now = int(time.time() * 1000)
        values = {
            "shadow/agreement": agreement.agreed / agreement.texts,
            "shadow/mean_score_difference": agreement.difference / agreement.texts,
            "shadow/texts": float(agreement.texts),
        }
        client.log_batch(run_id, metrics=[Metric(name, value, now, agreement.texts) for name, value in values.items()])
    except (MlflowException, OSError) as error:
        raise StoreError(f"MLflow did not take the shadow's agreement ({str(error).splitlines()[0]}).") from error


def _run(client: MlflowClient, name: str, versions: tuple[int, int]) -> str:
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    pair = "{} -> {}".format(*versions)
    runs = client.search_runs([experiment_id], f"tags.`{PAIR_TAG}` = '{pair}'", max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    run = client.create_run(experiment_id, tags={PAIR_TAG: pair}, run_name=f"shadow of version {versions[1]}")
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)
