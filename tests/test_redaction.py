"""No password, token or key gets through, whatever its characters and wherever it is quoted."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from atnet import redaction
from atnet.redaction import HIDDEN, has_credentials, install_redaction, redact, remember_secrets, without_credentials

SCHEMES = st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "mssql+pyodbc", "s3", "ssh"])
HOSTS = st.sampled_from(["host", "db.example.org:5432", "127.0.0.1:5000", "[::1]:80"])
PATHS = st.sampled_from(["", "/", "/mlflow", "/a/b?sslmode=require"])
ANY = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])
SECRETS = st.text(ANY, min_size=6, max_size=24).filter(lambda text: not any(char.isspace() for char in text))
SPACED = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6, max_size=24)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    redaction._remembered.clear()
    yield
    redaction._remembered.clear()


@given(SCHEMES, SECRETS, HOSTS, PATHS)
@example("postgresql", "p@ss/w:rd?", "db:5432", "/mlflow")
@example("https", "a#b@c&d", "host", "/x?sslmode=require")
@example("http", "'\"quoted\"'", "host", "")
def test_a_password_in_an_address_is_never_shown(scheme: str, password: str, host: str, path: str) -> None:
    assume(password not in f"{scheme}{host}{path}user")
    for written in (password, quote(password, safe="")):
        address = f"{scheme}://user:{written}@{host}{path}"
        for message in (address, f"The store {address} did not answer.", f'{{"uri": "{address}"}}', f"({address})"):
            assert written not in redact(message)
            assert HIDDEN in redact(message)


@given(SCHEMES, SECRETS.filter(lambda token: not set(token) & set("/?#:")), HOSTS)
@example("https", "ghp_abcdefghij", "host")
def test_a_token_in_place_of_the_user_is_never_shown(scheme: str, token: str, host: str) -> None:
    assume(token not in f"{scheme}{host}")
    for address in (f"{scheme}://{token}@{host}/repo", f"{scheme}://{token}:x-oauth-basic@{host}/repo"):
        assert token not in redact(f"cloning {address} failed")


@given(SCHEMES, SECRETS.filter(lambda value: not set(value) & set("&;#")), HOSTS)
def test_values_of_query_parameters_are_never_shown(scheme: str, value: str, host: str) -> None:
    assume(value not in f"{scheme}{host}sslmodetokenrequire")
    address = f"{scheme}://{host}/db?sslmode=require&token={value}&sig={value}"
    assert value not in redact(f"no answer from {address}.")
    assert "@" in value or "sslmode=require" in redact(address)


@given(SPACED, SECRETS)
@example("two words", "p@ss")
def test_a_remembered_secret_is_recognized_in_parts_and_other_spellings(first: str, second: str) -> None:
    redaction._remembered.clear()
    password = f"{first}@{second}"
    remember_secrets(f"postgresql://user:{password}@host/db")
    remember_secrets(f"https://host/api?key={quote(password, safe='')}")
    assert f"{second}@host" not in redact(f'could not translate host name "{second}@host" to address')
    assert password not in redact(f"authentication of user with {password} failed")
    assert quote(password, safe="") not in redact(f"GET /api/{quote(password, safe='')} failed")


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter22",
        'api_key: "hunter22"',
        "DRIVER=x;PWD=hunter22;SERVER=y",
        "AWS_SECRET_ACCESS_KEY=hunter22",
        "Authorization: Bearer hunter22.abc",
        "Basic hunter22hunter22==",
        "{'access_token': 'hunter22'}",
    ],
)
def test_secrets_in_pairs_and_headers_are_never_shown(text: str) -> None:
    assert "hunter22" not in redact(text)


def test_secret_variables_of_the_environment_are_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted-password")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:planted%2Fdatabase@host/db")
    text = redact("login with planted-password refused; planted/database too")
    assert "planted" not in text


@pytest.mark.parametrize(
    "text",
    [
        "wide_max_tokens: 10000000 # training tokens",
        "tokenize: 12,000 tokens, 3 unknown words",
        "write to ana@example.org, see https://example.org/guide/install",
        "sqlite:////home/ana/project/mlflow.db",
        "http://127.0.0.1:5000/#/experiments/1/runs/abc?workflowType=machine_learning",
        "models:/atnet/3",
        "The run is complete.",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_links_have_no_credentials_and_stay_usable() -> None:
    assert without_credentials("http://alice:S3CRET@host:5000/mlflow/?token=x#y") == "http://host:5000/mlflow/"
    assert without_credentials("https://host") == "https://host"
    assert without_credentials("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
    assert has_credentials("postgresql://u:pw@h/db")
    assert not has_credentials("postgresql://h/db")
    assert not has_credentials("sqlite:////a@b/mlflow.db")


def test_log_records_and_their_tracebacks_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    factory = logging.getLogRecordFactory()
    try:
        install_redaction()
        install_redaction()
        logger = logging.getLogger("atnet.test")
        logger.warning("no answer from %s", "http://alice:S3CRET@host")
        try:
            raise ValueError("http://alice:S3CRET@host")
        except ValueError:
            logger.exception("failed")
        logger.warning("%d texts", 3)
        assert "S3CRET" not in caplog.text
        assert "3 texts" in caplog.text
        assert "Traceback" in caplog.text
    finally:
        logging.setLogRecordFactory(factory)
        sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__


@pytest.mark.parametrize(
    "raising", ["fail()", "import threading; t = threading.Thread(target=fail); t.start(); t.join()"]
)
def test_a_traceback_of_an_uncaught_exception_is_redacted(raising: str) -> None:
    code = (
        "from atnet.redaction import install_redaction\n"
        "install_redaction()\n"
        "def fail():\n"
        "    try:\n"
        "        raise OSError('http://alice:S3CRET@host')\n"
        "    except OSError as error:\n"
        "        raise RuntimeError('postgresql://bob:S3CRET@db') from error\n"
        f"{raising}\n"
    )
    # From standard input: the source lines of a file would show the literals of this test.
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True)
    assert "RuntimeError" in done.stderr
    assert "S3CRET" not in done.stderr
