"""The service keeps to its OpenAPI document, whatever is sent to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import make_project, running_service

EXAMPLES = 300
CONFIGURATION = """
[checks.negative_data_rejection]
# 413 too: the document cannot say how large a body may be.
expected-statuses = ["400", "401", "413", "415", "422", "429"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("keys", ["", "app=0123456789abcdef"])
def test_generated_requests_get_documented_answers_and_never_a_server_error(
    tmp_path: Path, empty_store: Path, keys: str
) -> None:
    project = make_project(tmp_path / "project", empty_store, {"serve": {"rate_limit": None}})
    project.promote(project.publish().number)
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "--checks", "all", "--no-color"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"]
    if keys:
        command += ["--header", f"Authorization: Bearer {keys.partition('=')[2]}"]
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with running_service(project.root, ATNET_API_KEYS=keys) as service:
        done = subprocess.run(
            [*command, f"{service.address}/openapi.json"],
            cwd=tmp_path,
            env={**os.environ, "DO_NOT_TRACK": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr
        assert service.predict(text="good").status_code == (401 if keys else 200)
        assert '"level": "error"' not in service.log()
