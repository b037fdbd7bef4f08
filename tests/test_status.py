"""`atnet status`: every part is shown, and a part that fails does not hide the others."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atnet.config import Params
from atnet.monitoring.window_records import WindowRecord, append_window
from atnet.registry.versions import CHAMPION, ensure_registered_model, open_registry, set_alias
from atnet.status.collect import collect_status
from atnet.status.item import StatusItem, age
from atnet.status.page import status_page, summary_line
from atnet.storage import load_params, write_json
from tests.registered import registered
from tests.settings import params_file

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Path:
    """A project with an empty store, whose service would listen on a port that nothing uses."""
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    params_file(tmp_path, {"serve": {"port": 9}})
    return tmp_path


def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


def status(project: Path) -> dict[str, StatusItem]:
    return {item.subject: item for item in collect_status(params(project), project, NOW)}


@contextmanager
def service(code: int, body: dict[str, Any]) -> Iterator[int]:
    """Answer every request like /ready of the service; yields the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_a_new_project_has_no_fault_and_every_part_says_what_to_run(project: Path) -> None:
    items = status(project)
    assert list(items) == ["champion", "service", "data", "training", "monitoring", "backup"]
    assert {item.level for item in items.values()} == {"note"}
    for subject, command in (
        ("champion", "atnet release"),
        ("service", "make serve"),
        ("training", "make pipeline"),
        ("monitoring", "atnet monitor"),
        ("backup", "atnet backup"),
    ):
        assert f"`{command}`" in items[subject].message


def test_a_service_on_an_older_version_is_a_fault(project: Path) -> None:
    registry = open_registry(params(project).tracking, project)
    ensure_registered_model(registry)
    registered_versions = [registered(registry, name) for name in ("one", "two")]
    set_alias(registry, CHAMPION, registered_versions[1].number)
    for code, body, level, message in (
        (200, {"status": "ready", "model": {"version": "2"}}, "ok", "serves version 2"),
        (200, {"status": "ready", "model": {"version": "1"}}, "fault", "serves version 1, but champion is version 2"),
        (503, {"status": "no model", "model": None}, "fault", "is not ready: no model"),
    ):
        with service(code, body) as port:
            params_file(project, {"serve": {"port": port}})
            item = status(project)["service"]
        assert (item.level, message in item.message) == (level, True), item


def test_an_alarm_names_the_window_and_the_next_step(project: Path) -> None:
    append_window(
        project / params(project).monitor.output_folder,
        WindowRecord(
            key="k",
            name="2026-02-28",
            source="predictions",
            recorded_at=(NOW - timedelta(hours=3)).isoformat(),
            model_version=2,
            model_sha256="a" * 64,
            result="drift",
            state="alarm",
            action="label",
            rows=812,
            compared=800,
        ),
    )
    item = status(project)["monitoring"]
    assert item.level == "fault"
    assert "2026-02-28" in item.message
    assert "812 rows" in item.message
    assert "3 hours ago" in item.message
    assert "`atnet review`" in item.message


def test_a_store_that_does_not_answer_does_not_hide_the_other_parts(project: Path) -> None:
    (project / "mlflow.db").write_bytes(b"not a database" * 100)
    items = status(project)
    assert items["registry"].level == "fault"
    assert {"service", "data", "training", "monitoring", "backup"} <= items.keys()


def test_the_champion_and_the_last_backup_are_shown(project: Path) -> None:
    registry = open_registry(params(project).tracking, project)
    ensure_registered_model(registry)
    set_alias(registry, CHAMPION, registered(registry, "one").number)
    write_json(project / ".atnet" / "backup.json", {"created": (NOW - timedelta(days=2)).isoformat(), "path": "/b.tar"})
    items = status(project)
    assert items["champion"].level == "ok"
    assert "version 1" in items["champion"].message
    assert items["backup"].message == "/b.tar, 2 days ago"


def test_the_page_escapes_what_users_have_written() -> None:
    items = [StatusItem("last release", "ok", "promoted by <script>alert(1)</script>")]
    page = status_page("atnet", items, [("1", "", "promoted", "1", "1", "<b>ana</b>", "")], NOW)
    assert "<script>" not in page
    assert "<b>ana" not in page
    assert "2026-03-01 12:00" in page
    assert "http" not in page


def test_commands_on_the_page_are_code_and_the_worst_level_colors_the_summary() -> None:
    items = [StatusItem("backup", "note", "none yet. Run `atnet backup <folder>`."), StatusItem("data", "ok", "read")]
    page = status_page("atnet", items, [("1", "", "promoted", "2", "1 -> 2", "ana", "")], NOW)
    assert "Run <code>atnet backup &lt;folder&gt;</code>." in page
    assert "1 → 2" in page
    assert 'class="summary note"' in page


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (["ok", "ok"], "Everything is in order."),
        (["ok", "note"], "No faults. Needs attention: part 1."),
        (["fault", "note"], "Faults: part 0."),
    ],
)
def test_the_summary_names_the_worst_parts(levels: list[Any], expected: str) -> None:
    assert summary_line([StatusItem(f"part {n}", level, "") for n, level in enumerate(levels)]) == expected


@pytest.mark.parametrize(
    ("elapsed", "expected"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=26), "1 day ago"),
        (timedelta(days=9), "9 days ago"),
    ],
)
def test_an_age_is_given_in_the_largest_whole_unit(elapsed: timedelta, expected: str) -> None:
    assert age(NOW - elapsed, NOW) == expected
