"""The service over HTTP: predictions, limits, errors, bad input and bad connections."""

import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from atnet.inference import Predictor
from atnet.serving.page import FILES, STATIC
from atnet.serving.prediction_files import read_predictions
from tests.service import RunningService, ServedProject, make_project, running_service, wait_for
from tests.tinymodel import write_tiny_model

pytestmark = pytest.mark.slow

STACK_OR_PATH = re.compile(r"Traceback|\.py\b|site-packages|/[a-z]+/[a-z]+")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> ServedProject:
    project = make_project(tmp_path_factory.mktemp("served"), empty_store)
    project.promote(project.publish().number)
    return project


@pytest.fixture(scope="module")
def service(served: ServedProject) -> Iterator[RunningService]:
    with running_service(served.root) as service:
        yield service


@pytest.fixture(scope="module")
def predictor(served: ServedProject) -> Predictor:
    return served.predictor()


def _error(answer: httpx.Response) -> str:
    body = answer.json()
    assert set(body) == {"error", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"] != ""
    assert not STACK_OR_PATH.search(answer.text), answer.text
    return str(body["error"]["code"])


# Answers


def test_one_text_gets_label_score_and_all_probabilities(service: RunningService, predictor: Predictor) -> None:
    answer = service.predict(text="A good, fine film")
    expected = predictor.predict(["A good, fine film"])
    body = answer.json()
    assert answer.status_code == 200
    assert body["model"]["version"] == 1
    assert answer.headers["x-model-version"] == "1"
    (prediction,) = body["predictions"]
    assert prediction["label"] == "positive"
    assert prediction["score"] == prediction["probabilities"]["positive"] == expected.scores[0]


def test_a_list_is_predicted_in_order_as_the_predictor_does(service: RunningService, predictor: Predictor) -> None:
    texts = [" ".join([["good", "bad", "awful", "fine"][row % 4]] * (1 + row % 7)) for row in range(90)]
    predictions = service.predict(texts=texts).json()["predictions"]
    expected = predictor.predict(texts)
    assert [prediction["label"] for prediction in predictions] == expected.predicted
    assert [prediction["score"] for prediction in predictions] == pytest.approx(expected.scores.tolist(), abs=1e-9)


def test_an_explanation_has_each_word_with_its_place_and_contribution(service: RunningService) -> None:
    text = "😀 Good but awful"
    (prediction,) = service.predict(text=text, explain=True).json()["predictions"]
    words = {word["word"]: word["contribution"] for word in prediction["words"]}
    assert prediction["label"] == "negative"
    assert words == pytest.approx({"😀": 0, "Good": -2, "but": 0, "awful": 4})
    for word in prediction["words"]:
        assert text[word["start"] : word["end"]] == word["word"]


def test_a_model_with_a_reject_option_says_where_it_abstains(tmp_path: Path, empty_store: Path) -> None:
    project = make_project(tmp_path, empty_store)
    folder = write_tiny_model(project.root / "models" / "abstains")
    config = json.loads((folder / "inference_config.json").read_text())
    texts = ["good", "good good good good"]
    unsure, sure = Predictor.load(folder).predict(texts).scores.tolist()
    assert unsure < sure
    option = {"target_accuracy": 0.9, "min_confidence": (unsure + sure) / 2}
    (folder / "inference_config.json").write_text(json.dumps({**config, "reject_option": option}))
    project.promote(project.publish_folder(folder).number)
    with running_service(project.root) as service:
        plain = service.predict(texts=texts).json()["predictions"]
        explained = service.predict(texts=texts, explain=True).json()["predictions"]
    assert [prediction["abstain"] for prediction in plain] == [True, False]
    assert [prediction["abstain"] for prediction in explained] == [True, False]


def test_many_clients_at_once_get_their_own_answers(service: RunningService, predictor: Predictor) -> None:
    texts = [f"{'good ' * (row % 9)}{'awful ' * (row % 5)}" for row in range(200)]
    expected = predictor.predict(texts)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: service.predict(text=text), texts))
    assert {answer.status_code for answer in answers} == {200}
    scores = [answer.json()["predictions"][0]["score"] for answer in answers]
    assert scores == pytest.approx(expected.scores.tolist(), abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\n\t\r",
        "\x00\x01\x7f",
        "السلام عليكم",
        "\u202eabc",
        "👩‍👩‍👧‍👦 🏳️‍🌈",
        "a" * 2000,
        "é" * 2000,
        "\ufffd",
        "good\x00bad",
    ],
)
def test_any_text_is_answered(service: RunningService, text: str) -> None:
    for explain in (False, len(text) <= 1000):
        answer = service.predict(text=text, explain=explain)
        assert answer.status_code == 200, answer.text
        assert sum(answer.json()["predictions"][0]["probabilities"].values()) == pytest.approx(1)


# Refusals


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "not valid JSON"),
        (b"good", 400, "not valid JSON"),
        (b'{"text": "good"', 400, "not valid JSON"),
        (b'{"text": "\\ud800"}', 400, "surrogate"),
        (b'{"text": "\xff\xfe"}', 400, "not valid JSON"),
        (b'{"text": NaN}', 400, "not valid JSON"),
        (b"[" * 5000, 400, "not valid JSON"),
        (b"null", 422, "must be an object"),
        (b"[]", 422, "must be an object"),
        (b"3", 422, "must be an object"),
        (b"{}", 422, "either text"),
        (b'{"text": "a", "texts": ["b"]}', 422, "either text"),
        (b'{"text": null}', 422, "text must be a string, not null"),
        (b'{"text": 3}', 422, "not a number"),
        (b'{"text": true}', 422, "not a boolean"),
        (b'{"text": ["a"]}', 422, "not a list"),
        (b'{"text": {"a": 1}}', 422, "not an object"),
        (b'{"texts": "a"}', 422, "must be a list"),
        (b'{"texts": []}', 422, "at least one text"),
        (b'{"texts": ["a", null]}', 422, "texts[1] must be a string, not null"),
        (b'{"text": "a", "explain": 1}', 422, "explain must be true or false"),
        (b'{"text": "a", "explian": true}', 422, "Unknown key 'explian'"),
        (json.dumps({"text": "a" * 2001}).encode(), 422, "2001 characters; at most 2000"),
        (json.dumps({"text": "a" * 1001, "explain": True}).encode(), 422, "at most 1000 are allowed with explain"),
        (json.dumps({"texts": ["a"] * 101}).encode(), 422, "101 texts in one request; at most 100"),
        (json.dumps({"texts": ["a"] * 6, "explain": True}).encode(), 422, "6 texts with explain"),
        (json.dumps({"text": "a" * 100_001}).encode(), 413, "larger than 100000 bytes"),
        (json.dumps({"text": "a" * 1_000_000}).encode(), 413, "larger than 100000 bytes"),
        (json.dumps({"texts": ["good"] * 10_000}).encode(), 422, "10000 texts"),
    ],
)
def test_a_bad_body_gets_a_clear_error(service: RunningService, body: bytes, status: int, message: str) -> None:
    answer = service.client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (status, True), answer.text
    _error(answer)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_another_content_type_is_refused(service: RunningService, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = service.client.post("/v1/predict", content=b'{"text": "good"}', headers=headers)
    assert (answer.status_code, _error(answer)) == (415, "unsupported_media_type")


def test_json_with_a_charset_is_taken(service: RunningService) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    assert service.client.post("/v1/predict", content=b'{"text": "good"}', headers=headers).status_code == 200


def test_a_body_in_chunks_that_grows_too_large_is_refused(service: RunningService) -> None:
    chunks = iter([b'{"text": "', *[b"a" * 10_000] * 15, b'"}'])
    answer = service.client.post("/v1/predict", content=chunks, headers={"content-type": "application/json"})
    assert (answer.status_code, _error(answer)) == (413, "body_too_large")


def test_unknown_paths_and_methods_get_json_errors(service: RunningService) -> None:
    assert (service.client.get("/nothing").status_code, _error(service.client.get("/nothing"))) == (404, "not_found")
    answer = service.client.get("/v1/predict")
    assert (answer.status_code, _error(answer), answer.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_a_request_keeps_its_id_unless_it_is_harmful(service: RunningService) -> None:
    sent = service.client.post("/v1/predict", json={"text": "a"}, headers={"x-request-id": "order-7"})
    assert (sent.headers["x-request-id"], sent.json()["request_id"]) == ("order-7", "order-7")
    harmful = service.client.post("/v1/predict", json={"text": "a"}, headers={"x-request-id": 'a"}\t{"level'})
    unknown = service.client.get("/nothing", headers={"x-request-id": "order-8"})
    assert (unknown.headers["x-request-id"], unknown.json()["request_id"]) == ("order-8", "order-8")
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", harmful.headers["x-request-id"])


# Connections


def _connect(service: RunningService) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=10)


def test_a_hundred_silent_connections_are_closed_and_disturb_nobody(service: RunningService) -> None:
    silent = [_connect(service) for _ in range(100)]
    assert service.predict(text="good").status_code == 200
    start = time.monotonic()
    assert [connection.recv(1) for connection in silent] == [b""] * 100
    assert time.monotonic() - start < 4
    for connection in silent:
        connection.close()


def test_headers_that_come_too_slowly_end_the_connection_even_after_a_request(service: RunningService) -> None:
    with _connect(service) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"alive" in _read_until(connection, b"}")
        connection.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        start = time.monotonic()
        assert connection.recv(1) == b""
        assert time.monotonic() - start < 4


def test_endless_headers_are_refused(service: RunningService) -> None:
    with _connect(service) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000)
        _assert_error(connection, 400, "bad_request", "headers are too large")


def test_a_body_that_comes_too_slowly_gets_408(service: RunningService) -> None:
    with _connect(service) as connection:
        connection.sendall(_head(50) + b'{"text"')
        _assert_error(connection, 408, "timeout", "did not arrive in time")


def test_a_client_that_leaves_in_the_middle_of_its_body_is_counted_as_dropped(service: RunningService) -> None:
    before = service.metric('atnet_requests_total{result="dropped"}')
    with _connect(service) as connection:
        connection.sendall(_head(50) + b'{"text"')
    wait_for(lambda: service.metric('atnet_requests_total{result="dropped"}') == before + 1)
    assert service.predict(text="good").status_code == 200


def test_garbage_in_place_of_http_gets_400(service: RunningService) -> None:
    with _connect(service) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
        _assert_error(connection, 400, "bad_request", "Invalid HTTP request")


def _assert_error(connection: socket.socket, status: int, code: str, message: str) -> None:
    head, _, body = _read_until(connection, b'"}').partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    error = json.loads(body)
    assert (error["error"]["code"], message in error["error"]["message"]) == (code, True)
    assert f"x-request-id: {error['request_id']}".encode() in head


def _head(length: int) -> bytes:
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    return head.encode()


def _read_until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.rstrip().endswith(end):
        part = connection.recv(4096)
        if not part:
            break
        data += part
    return data


# The other paths


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_and_readiness_answer_get_and_head(service: RunningService, path: str) -> None:
    got, head = service.client.get(path), service.client.head(path)
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    assert got.json()["status"] in ("alive", "ready")


def test_the_metrics_count_requests_by_result_and_time_each_step(service: RunningService) -> None:
    ok, invalid = 'atnet_requests_total{result="ok"}', 'atnet_requests_total{result="invalid"}'
    before = service.metric(ok), service.metric(invalid), service.metric("atnet_texts_total")
    service.predict(texts=["good", "bad"])
    service.predict(texts=[])
    after = service.metric(ok), service.metric(invalid), service.metric("atnet_texts_total")
    assert (after[0] - before[0], after[1] - before[1], after[2] - before[2]) == (1, 1, 2)
    for step in ("queue", "tokenization", "inference"):
        assert service.metric(f"atnet_{step}_seconds_count") > 0
    assert service.metric("atnet_ready_workers") == 1


def test_the_openapi_document_has_the_limits_in_force(service: RunningService) -> None:
    document = service.client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/v1/predict", "/health", "/ready", "/metrics"}
    one = document["components"]["schemas"]["PredictionRequest"]["oneOf"][0]
    assert one["properties"]["text"]["maxLength"] == 2000


@pytest.mark.parametrize("path", sorted(FILES))
def test_the_page_has_security_headers(service: RunningService, path: str) -> None:
    answer = service.client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_names_no_address_outside_of_the_service() -> None:
    for path in STATIC.iterdir():
        assert not re.search(r"(https?:)?//[a-z0-9]", path.read_text(encoding="utf-8")), path.name


# The prediction log


def test_every_answer_is_logged_without_its_text(service: RunningService, served: ServedProject) -> None:
    sent = service.client.post("/v1/predict", json={"texts": ["good zzz", "awful"]}, headers={"x-request-id": "logged"})
    folder, today = served.root / "data/predictions", datetime.now(UTC).date()

    def rows() -> list[dict[str, Any]]:
        table = read_predictions(folder, today - timedelta(days=1), today)
        return [row for row in table.to_pylist() if row["request_id"] == "logged"]

    wait_for(rows)
    first, second = sorted(rows(), key=lambda row: row["row"])
    prediction = sent.json()["predictions"][0]
    assert first["text"] is None
    assert first["text_sha256"] == hashlib.sha256(b"good zzz").hexdigest()
    assert (first["label"], first["score"]) == (prediction["label"], prediction["score"])
    assert dict(first["probabilities"]) == prediction["probabilities"]
    assert (first["version"], first["model_sha256"]) == (1, sent.json()["model"]["sha256"])
    assert (first["tokens"], first["unknown_word_share"], second["tokens"]) == (2, 0.5, 1)
    assert 0 < first["latency_ms"] < 2000


def test_the_log_of_the_service_has_no_texts_and_one_line_of_json_per_event(service: RunningService) -> None:
    service.client.post(
        "/v1/predict", json={"text": "secret words", "unknown": 1}, headers={"x-request-id": "failed-1"}
    )
    wait_for(lambda: "failed-1" in service.log())
    lines = [json.loads(line) for line in service.log().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "failed-1"]
    assert (line["status"], line["code"]) == (422, "invalid_request")
    assert "secret words" not in service.log()
