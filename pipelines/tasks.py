"""What every flow needs: a task's state from a library call, and an exit code from a flow's state."""

import sys
from collections.abc import Callable
from typing import Any, cast

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from atnet.errors import AtnetError


def state_of(call: Callable[[], str]) -> State:
    """Call the library and return Completed with its message, or Failed with the error's message."""
    try:
        return Completed(message=call())
    except AtnetError as error:
        return Failed(message=str(error))


def require_completed(state: State) -> None:
    """Raise a failed task's message.

    Raises:
        AtnetError: if the state is not a completed one.
    """
    if not state.is_completed():
        raise AtnetError(state.message or f"A task ended in the state {state.name}.")


def run_flow(flow: Flow[..., Any], name: str) -> State | None:
    """Run a flow in this process and print its message; None if Prefect's server did not start."""
    try:
        state = cast(State, flow(return_state=True))
    except RuntimeError as error:
        if "ephemeral Prefect API server" not in str(error):
            raise
        print(
            f"{name}: Prefect's temporary server did not start in time; the machine is very busy. Nothing was run. "
            "Run it again, raise PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, or start a server with "
            "`prefect server start` and set PREFECT_API_URL.",
            file=sys.stderr,
        )
        return None
    print(f"{name}: {state.message}", file=sys.stdout if state.is_completed() else sys.stderr)
    return state
