"""API keys, rate limits and the body of a request, without a server."""

import multiprocessing
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atnet.config import Params, RateLimitConfig, ServeLimitsConfig
from atnet.errors import ConfigurationError
from atnet.serving.api_keys import RateLimiter, authenticate, read_keys
from atnet.serving.prediction_request import PredictionRequest, parse_request
from atnet.serving.responses import RequestError

TWO = {"ATNET_API_KEYS": " a=0123456789abcdef , b=fedcba9876543210=, "}
RATE = RateLimitConfig(texts_per_second=10.0, burst=20)


def test_keys_are_read_with_their_names() -> None:
    assert [(key.name, key.secret) for key in read_keys(TWO)] == [
        ("a", b"0123456789abcdef"),
        ("b", b"fedcba9876543210="),
    ]
    assert read_keys({}) == read_keys({"ATNET_API_KEYS": " , "}) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0123456789abcdef", "Entry 1 of ATNET_API_KEYS does not have the form name=key"),
        ("a=0123456789abcdef,=0123456789abcdef", "Entry 2 of ATNET_API_KEYS does not"),
        ("a=0123456789abcdef,a=0123456789abcdef", "The name a is used twice"),
        ("a=short", "has 5 characters; use at least 16"),
    ],
)
def test_a_bad_list_of_keys_is_refused_without_showing_a_key(value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        read_keys({"ATNET_API_KEYS": value})
    assert "0123456789abcdef" not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "position"),
    [
        ({b"authorization": b"Bearer 0123456789abcdef"}, 0),
        ({b"authorization": b"bearer  fedcba9876543210="}, 1),
        ({b"x-api-key": b"0123456789abcdef"}, 0),
        ({b"authorization": b"Basic 0123456789abcdef"}, None),
        ({b"authorization": b"Bearer 0123456789abcde"}, None),
        ({b"authorization": b"Bearer \xff"}, None),
        ({}, None),
    ],
)
def test_a_request_carries_one_of_the_keys_or_is_refused(headers: dict[bytes, bytes], position: int | None) -> None:
    keys = read_keys(TWO)
    if position is None:
        with pytest.raises(RequestError) as refused:
            authenticate(keys, headers)
        assert refused.value.status == 401
    else:
        assert authenticate(keys, headers) == position
    assert authenticate([], headers) is None


def test_a_bucket_refills_with_time_and_each_key_has_its_own(tmp_path: Path) -> None:
    limiter = RateLimiter(tmp_path / "rates", 2, RATE)
    limiter.take(0, 20, now=100.0)
    with pytest.raises(RequestError) as refused:
        limiter.take(0, 5, now=100.1)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    limiter.take(1, 20, now=100.1)
    limiter.take(0, 5, now=100.5)
    with pytest.raises(RequestError) as never:
        limiter.take(0, 21, now=1000.0)
    assert never.value.status == 422


def _take(path: Path, tries: int) -> int:
    limiter, taken = RateLimiter(path, 1, RateLimitConfig(texts_per_second=0.001, burst=500)), 0
    for _ in range(tries):
        try:
            limiter.take(0, 1, now=100.0)
        except RequestError:
            continue
        taken += 1
    return taken


def test_workers_share_a_bucket(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        taken = pool.starmap(_take, [(tmp_path / "rates", 2000)] * 2)
    assert sum(taken) == 500


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "texts", "explain", "x"]), inner)
    ),
    max_leaves=8,
)


@given(JSON | st.binary())
def test_any_body_is_a_request_within_the_limits_or_an_error_of_the_client(value: object) -> None:
    limits = ServeLimitsConfig(
        max_queued_texts=10,
        max_texts=3,
        max_explained_texts=1,
        max_explained_characters=3,
        max_characters=5,
        max_body_bytes=100,
        max_connections=10,
    )
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    try:
        request = parse_request(body, limits)
    except RequestError as refused:
        status = refused.status
    else:
        status = 200
        assert 1 <= len(request.texts) <= 3
        assert all(len(text) <= 5 for text in request.texts)
    assert status in (200, 400, 422)


def test_the_committed_limits_allow_one_text_and_a_list(params: Params) -> None:
    assert parse_request(b'{"text": "a"}', params.serve.limits) == PredictionRequest(["a"], False)
    request = parse_request(b'{"texts": ["a", "b"], "explain": true}', params.serve.limits)
    assert request == PredictionRequest(["a", "b"], True)
