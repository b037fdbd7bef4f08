"""Prefect's HTTP API. The library does not import Prefect, which takes seconds and belongs to the pipelines."""

import base64
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atnet.errors import StoreError
from atnet.redaction import redact
from atnet.running_servers import running_servers

DEFAULT_API = "http://127.0.0.1:4200/api"
TIMEOUT_SECONDS = 30
BUSY = 503
"""Prefect's SQLite database is busy; Prefect's own client retries too."""
ATTEMPTS = 3
PAGE_SIZE = 200
"""The maximum number of rows that Prefect returns at once."""


class _ServerBusy(StoreError):
    """The server asked the client to retry."""


@dataclass(frozen=True, slots=True)
class PrefectApi:
    """A Prefect server."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a POST request and return the response.

        Raises:
            StoreError: if the server does not answer, or rejects the request.
        """
        return self._request("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a PATCH request and return the response.

        Raises:
            StoreError: if the server does not answer, or rejects the request.
        """
        return self._request("PATCH", path, body)

    def filter(self, kind: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all rows of a kind that match, page by page.

        Args:
            kind: flow_runs, deployments, flows, work_pools or v2/concurrency_limits.
            body: the filters, and for flow runs the order.

        Raises:
            StoreError: if the server does not answer, or rejects the request.
        """
        rows: list[dict[str, Any]] = []
        while True:
            page = self.post(f"{kind}/filter", {**body, "limit": PAGE_SIZE, "offset": len(rows)})
            rows += page
            if len(page) < PAGE_SIZE:
                return rows

    def _request(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        for _ in range(ATTEMPTS - 1):
            try:
                return self._request_once(method, path, body)
            except _ServerBusy:
                time.sleep(1)
        return self._request_once(method, path, body)

    def _request_once(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.address}/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self.headers},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                content = response.read()
                return json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            detail = error.read(300).decode("utf-8", "replace")
            kind = _ServerBusy if error.code == BUSY else StoreError
            raise kind(f"The Prefect server at {self.address} rejected {path} ({error.code}): {detail}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise StoreError(
                f"The Prefect server at {self.address} does not answer ({reason}). Start it with `make up`, "
                "or set PREFECT_API_URL."
            ) from None


def configured_api(root: Path) -> PrefectApi:
    """Return the server at PREFECT_API_URL, else that of a running `make up`, else the default one."""
    servers = running_servers(root)
    address = os.environ.get("PREFECT_API_URL") or (servers.prefect if servers else DEFAULT_API)
    return PrefectApi(address.rstrip("/"), _authorization(os.environ))


def shown_address(api: PrefectApi) -> str:
    """Return the address without credentials."""
    return redact(api.address)


def _authorization(environment: Mapping[str, str]) -> dict[str, str]:
    if key := environment.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if user_and_password := environment.get("PREFECT_API_AUTH_STRING"):
        encoded = base64.b64encode(user_and_password.encode()).decode()
        return {"Authorization": f"Basic {encoded}"}
    return {}
