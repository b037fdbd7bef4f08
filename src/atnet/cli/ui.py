"""`atnet ui`: open MLflow's UI."""

import os
import socket
from typing import Annotated

import typer

from atnet.errors import StoreError
from atnet.storage import load_params
from atnet.tracking import ui_address, ui_command

app = typer.Typer()


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    public_host: Annotated[
        str | None, typer.Option(help="Name under which browsers reach this machine; MLflow rejects any other.")
    ] = None,
) -> None:
    """Open MLflow's UI on the project's runs; it runs until interrupted."""
    tracking = load_params().tracking
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise StoreError(f"Port {port} on {host} is in use. Free it, or run `atnet ui --port {port + 1}`.")
    command = ui_command(tracking, host=host, port=port, public_host=public_host)
    print(f"MLflow: {ui_address(tracking, host=public_host or host, port=port)} (Ctrl-C stops it)", flush=True)
    print("If a page opens as GenAI, choose Model training at the top left; the browser remembers it.", flush=True)
    # In place of this process: a signal to `atnet ui` would not reach a child, which would keep the port.
    os.execv(command[0], command)
