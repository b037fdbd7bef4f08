"""What MLflow logs goes to a file that the message names, not to the terminal."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from atnet.config import Params
from atnet.errors import StoreError
from atnet.tracking.store import open_store, store_faults
from atnet.tracking.tool_log import LOG_FILE, LOGGERS, log_to_file


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before = {name: logging.getLogger(name).handlers for name in LOGGERS}
    log_to_file(tmp_path)
    yield tmp_path
    for name, handlers in before.items():
        logging.getLogger(name).handlers = handlers


def _fail() -> None:
    with store_faults("postgresql://ana:S3CRET@db/mlflow"):
        try:
            raise sqlite3.OperationalError("server closed the connection")
        except sqlite3.OperationalError as error:
            logging.getLogger("mlflow.store.db.utils").exception("[SQL: INSERT INTO tags ...]")
            raise error


def test_a_page_of_sql_is_in_the_log_file_and_the_message_names_it(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError, match=r"cannot be used \(server closed.*Details: \.atnet/logs/mlflow\.log$"):
        _fail()
    assert capfd.readouterr() == ("", "")
    log = (project / LOG_FILE).read_text(encoding="utf-8")
    assert "[SQL: INSERT INTO tags ...]" in log
    assert log.count("Traceback") == 2


def test_a_password_is_not_written_to_the_log_file(project: Path) -> None:
    logging.getLogger("mlflow").error("cannot connect to postgresql://ana:S3CRET@db/mlflow")
    assert "S3CRET" not in (project / LOG_FILE).read_text(encoding="utf-8")


def test_nothing_is_written_without_an_error(project: Path) -> None:
    logging.getLogger("mlflow").info("Creating initial MLflow database tables...")
    assert not (project / LOG_FILE).exists()


def test_a_log_file_that_cannot_be_written_costs_only_the_details(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A file in the place of the folder.
    (project / ".atnet").write_text("")
    with pytest.raises(StoreError, match=r"cannot be used \(server closed the connection\)\. Check that it is running"):
        _fail()
    assert capfd.readouterr() == ("", "")


def test_opening_a_store_sends_the_logs_of_mlflow_to_its_project(
    project: Path, params: Params, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    other = project / "other"
    other.mkdir()
    (other / "mlflow.db").write_bytes(empty_store.read_bytes())
    open_store(params.tracking, other)
    logging.getLogger("alembic").error("cannot migrate")
    assert "cannot migrate" in (other / LOG_FILE).read_text(encoding="utf-8")
