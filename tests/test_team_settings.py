"""The demo's ports and credentials."""

import os
import re
from pathlib import Path

import pytest

from atnet.errors import ConfigurationError
from pipelines.team_demo.settings import TEAM, WORKER, Ports, load_demo, read_ports, write_private, write_user_files
from tests.projects import ROOT

PORTS = Ports(mlflow=5000, prefect=4200, postgresql=5432, s3=8333)


def test_ports_come_from_variables_and_must_not_overlap() -> None:
    assert read_ports({"MLFLOW_PORT": "", "PREFECT_PORT": "4201"}) == Ports(5000, 4201, 5432, 8333)
    with pytest.raises(ConfigurationError, match="MLFLOW_PORT=http is not a port"):
        read_ports({"MLFLOW_PORT": "http"})
    with pytest.raises(ConfigurationError, match="must not overlap"):
        read_ports({"S3_PORT": "4195"})


def test_passwords_are_made_once_are_private_and_differ(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        demo = load_demo(tmp_path, PORTS)
        write_user_files(demo)
    finally:
        os.umask(before)
    assert load_demo(tmp_path, PORTS) == demo
    assert len(set(demo.passwords.values())) == len(demo.passwords) > 10
    assert min(len(password) for password in demo.passwords.values()) >= 32
    assert demo.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in demo.folder.iterdir()} == {0o600}
    write_private(demo.folder / "alice.env", "A=1\n")
    assert (demo.folder / "alice.env").stat().st_mode & 0o777 == 0o600


def test_a_user_gets_no_password_of_another_user_or_of_a_server(tmp_path: Path) -> None:
    demo = load_demo(tmp_path, PORTS)
    names = {"mlflow_admin", "mlflow_cookies", "database_postgres", "database_mlflow", "database_prefect"}
    names |= {"s3_mlflow_id", "s3_mlflow_key"}
    for user in (*TEAM, WORKER):
        others = names | {f"mlflow_{other}" for other in (*TEAM, WORKER) if other != user}
        text = "\n".join(demo.user_environment(user).values())
        assert demo.passwords[f"mlflow_{user}"] in text
        assert [name for name in others if demo.passwords[name] in text] == []


def test_no_command_of_the_demo_has_a_credential_in_its_arguments() -> None:
    text = (ROOT / "Procfile.team").read_text(encoding="utf-8")
    assert set(re.findall(r"\$(\w+)", text)) == {"MLFLOW_PORT", "PREFECT_PORT"}
