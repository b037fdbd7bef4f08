"""`atnet serve`: serve the champion over HTTP."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from atnet.serving.service_settings import ServiceSettings

app = typer.Typer()
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; overrides serve.host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, 0 for a free one; overrides serve.port.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that predict; overrides serve.workers.")] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Score the same texts with the challenger, off the response path.")
    ] = False,
) -> None:
    """Serve the champion over HTTP and follow its promotions, until interrupted."""
    settings = _settings({"host": host, "port": port, "workers": workers}, shadow=shadow)
    # `prometheus_client` reads this when it is first imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.metrics_folder)
    from atnet.serving.api_keys import read_keys
    from atnet.serving.json_log import log_as_json
    from atnet.serving.supervisor import Supervisor, exclusive_folder, listening_sockets, reset_folder

    keys, config = read_keys(os.environ), settings.config
    with (
        exclusive_folder(settings.folder),
        listening_sockets(config.host, config.port, config.workers) as sockets,
    ):
        if config.host not in LOCAL_HOSTS and not keys:
            print(
                f"warning: {config.host} can be reached from other machines, and no API key is required. "
                "Set ATNET_API_KEYS to name=key.",
                file=sys.stderr,
            )
        address = f"http://{config.host}:{sockets[0].getsockname()[1]}"
        print(f"serve: {address} serves the {config.alias} of {settings.model} (Ctrl-C stops it)", flush=True)
        log_as_json()
        reset_folder(settings)
        Supervisor(settings, sockets).run()


def _settings(options: dict[str, Any], *, shadow: bool) -> "ServiceSettings":
    # Not atnet.storage: it needs pandas, which the service's environment does not have.
    from atnet.config import load_params
    from atnet.serving.service_settings import ServiceSettings

    params = load_params()
    config = params.serve.model_copy(update={name: value for name, value in options.items() if value is not None})
    return ServiceSettings(config=config, tracking=params.tracking, root=Path.cwd(), shadow=shadow)
