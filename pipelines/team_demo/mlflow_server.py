"""MLflow's server of the demo: its settings, and the users it knows."""

import base64
import json
import time
import urllib.error
import urllib.request

from atnet.errors import StoreError
from pipelines.team_demo.settings import ADMIN, ARTIFACT_BUCKET, TEAM, WORKER, Demo, write_private

START_SECONDS = 600
"""On a busy machine the server takes minutes to create its tables."""
DEFAULT_PERMISSION = "MANAGE"
"""Of every user for what others created: a release deletes tags and aliases, which EDIT does not allow."""


PASSWORD_CACHE_SECONDS = 60
"""How long the server remembers that a password was right; without it every request computes a slow hash."""


def server_environment(demo: Demo) -> dict[str, str]:
    """Return the variables of the server, and write the file with its user database's address."""
    configuration = demo.folder / "basic_auth.ini"
    lines = [
        "[mlflow]",
        f"default_permission = {DEFAULT_PERMISSION}",
        f"auth_cache_ttl_seconds = {PASSWORD_CACHE_SECONDS}",
    ]
    # A percent sign has a meaning in this file.
    lines.append(f"database_uri = {demo.database_url('mlflow_auth').replace('%', '%%')}")
    write_private(configuration, "\n".join([*lines, ""]))
    return {
        "MLFLOW_BACKEND_STORE_URI": demo.database_url("mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{ARTIFACT_BUCKET}/artifacts",
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_S3_ENDPOINT_URL": demo.s3_url,
        "MLFLOW_AUTH_CONFIG_PATH": str(configuration),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": demo.passwords[f"mlflow_{ADMIN}"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": demo.passwords["mlflow_cookies"],
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **demo.s3_environment("mlflow"),
    }


def create_users(demo: Demo, *, seconds: float = START_SECONDS) -> None:
    """Create the users that are missing, once the server answers.

    Raises:
        StoreError: if it does not answer in time, or refuses.
    """
    for user in (WORKER, *TEAM):
        body = {"username": user, "password": demo.passwords[f"mlflow_{user}"]}
        code = _post_when_ready(demo, "/api/2.0/mlflow/users/create", body, seconds)
        if code not in (200, 400, 409) or (code == 400 and not _exists(demo, user)):
            raise StoreError(f"MLflow's server did not create the user {user} (HTTP {code}).")


def _exists(demo: Demo, user: str) -> bool:
    try:
        with urllib.request.urlopen(_request(demo, f"/api/2.0/mlflow/users/get?username={user}"), timeout=30):
            return True
    except urllib.error.HTTPError:
        return False


def _post_when_ready(demo: Demo, path: str, body: dict[str, str], seconds: float) -> int:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(_request(demo, path, body), timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError as error:
            if time.monotonic() > end:
                raise StoreError(f"MLflow's server at {demo.mlflow_url} did not start ({error}).") from None
            time.sleep(1)


def _request(demo: Demo, path: str, body: dict[str, str] | None = None) -> urllib.request.Request:
    credentials = base64.b64encode(f"{ADMIN}:{demo.passwords[f'mlflow_{ADMIN}']}".encode()).decode()
    return urllib.request.Request(
        f"{demo.mlflow_url}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
    )
