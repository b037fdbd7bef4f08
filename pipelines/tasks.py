"""Functions that every flow needs: a task's state from a library call, and one message for every error."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import httpx
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from atnet.environment import prepare_process
from atnet.errors import AtnetError, StoreError
from atnet.file_system import file_system_errors
from atnet.redaction import redact
from atnet.schedules.live_runs import lock_run

SERVER_MESSAGES = {
    "ephemeral Prefect API server": "Prefect's temporary server did not start in time; the machine is very busy. "
    "Nothing was run. Run it again, raise PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, or start a server with "
    "`prefect server start` and set PREFECT_API_URL.",
    "Failed to reach API": "The Prefect server at PREFECT_API_URL does not respond. Start it, correct the "
    "address, or unset the variable to use a temporary server.",
}
"""Part of Prefect's own message -> the message for the user."""


_run_locks: list[IO[str]] = []
"""The locked files of this process's runs; they stay locked until it ends."""


def prepare_run() -> None:
    """Prepare the process of a flow, and lock the run's file so that the start-up sweep sees that it is alive."""
    prepare_process()
    if flow_run.id:
        _run_locks.append(lock_run(Path.cwd(), str(flow_run.id)))


def state_of(call: Callable[[], str]) -> State:
    """Call the library and return Completed with its message, or Failed with the error's message."""
    try:
        with file_system_errors():
            return Completed(message=call())
    except AtnetError as error:
        return Failed(message=str(error))


def require_completed(state: State) -> None:
    """Raise an error with the message of a failed task.

    Raises:
        AtnetError: if the state is not a completed one.
    """
    if not state.is_completed():
        raise AtnetError(state.message or f"A task ended in the state {state.name}.")


@contextlib.contextmanager
def prefect_errors() -> Iterator[None]:
    """Turn errors of Prefect's server into one message.

    Raises:
        StoreError: with the next step.
    """
    try:
        yield
    except RuntimeError as error:
        message = next((text for part, text in SERVER_MESSAGES.items() if part in str(error)), None)
        if message is None:
            raise
        raise StoreError(message) from error
    except httpx.HTTPError as error:
        raise StoreError(
            f"The Prefect server stopped answering ({error or type(error).__name__}). Check that it runs, then run the "
            "flow again: DVC skips the stages that are done."
        ) from error


def start_deployment(name: str, parameters: Mapping[str, Any], *, key: str) -> str:
    """Create a run of a deployment without waiting for it, once per key; return what happened."""
    try:
        run = cast(
            FlowRun,
            run_deployment(
                name, parameters=dict(parameters), timeout=0, idempotency_key=f"{name} {key}", as_subflow=False
            ),
        )
    # Without a server, Prefect's temporary one has no deployments.
    except ObjectNotFound:
        return f"The deployment {name} does not exist on this Prefect server. Serve it with `make schedule`."
    return f"Started the deployment {name}: {run.name}."


def run_flow(flow: Flow[..., Any], name: str) -> State | None:
    """Run a flow in this process and print its message; None if it could not be run."""
    # Also here, not only in the flow: Prefect's server is reached before the flow starts.
    prepare_process()
    try:
        with file_system_errors(), prefect_errors():
            state = cast(State, flow(return_state=True))
    except AtnetError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None
    print(f"{name}: {redact(state.message or '')}", file=sys.stdout if state.is_completed() else sys.stderr)
    return state
