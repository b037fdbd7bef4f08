"""The settings that the processes of a service share, and what clients may read of its state."""

from pathlib import Path

import pytest

from atnet.config import Params
from atnet.errors import ConfigurationError
from atnet.serving.registry_status import public_message
from atnet.serving.service_settings import ServiceSettings, registry_uri
from atnet.serving.supervisor import listening_sockets
from atnet.tracking.store import resolve_uri


# The service must not import the tracking adapter, which needs pandas, so it resolves the address itself.
@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite:////data/mlflow.db", "https://mlflow.example.org"])
@pytest.mark.parametrize("variable", [None, "http://127.0.0.1:5000", "sqlite:///other.db"])
def test_the_service_uses_the_same_registry_as_the_other_commands(
    uri: str, variable: str | None, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if variable is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    assert registry_uri(uri, tmp_path) == resolve_uri(params.tracking.model_copy(update={"uri": uri}), tmp_path)


def test_settings_are_read_as_they_were_written_and_without_the_environments_address(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ana:secret@mlflow.example.org")
    settings = ServiceSettings(params.serve, params.tracking, tmp_path, shadow=True)
    file = settings.save()
    assert ServiceSettings.load(file) == settings
    assert "secret" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("message", "public"),
    [
        ("/srv/app/mlflow.db is missing. Publish a model.", "mlflow.db is missing. Publish a model."),
        ("No such file: '/srv/x/models/1.part/artifacts/model'", "No such file: 'model'"),
        ("cannot reach https://ana:secret@mlflow.example.org/api", "cannot reach https://mlflow.example.org/api"),
        ("Version 4 failed its self-check: 1/2 differ.", "Version 4 failed its self-check: 1/2 differ."),
    ],
)
def test_a_public_message_has_no_folders_and_no_passwords(message: str, public: str) -> None:
    assert public_message(message) == public


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_named_without_advice_about_the_port(host: str) -> None:
    with (
        pytest.raises(ConfigurationError, match=rf"Cannot listen on {host}: it is not an address of this machine\."),
        listening_sockets(host, 0, 1),
    ):
        pass
