"""`atnet serve`: the champion answers requests over HTTP."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atnet.errors import ConfigurationError

if TYPE_CHECKING:
    from atnet.serving.settings import ServiceSettings

LOCAL = ("127.0.0.1", "::1", "localhost")


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; serve.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one; serve.port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer; serve.workers.")] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Score with the challenger too, off the response path.")] = (
        False
    ),
) -> None:
    """Answer requests with the champion and follow its promotions, until interrupted."""
    settings = _settings({"host": host, "port": port, "workers": workers}, shadow=shadow)
    # `prometheus_client` reads this when it is first imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.metrics_folder)
    from atnet.serving.api_keys import read_keys
    from atnet.serving.logs import configure_logging
    from atnet.serving.supervisor import Supervisor, exclusive_folder, listening_sockets, prepare_folder

    keys, config = read_keys(os.environ), settings.config
    with (
        exclusive_folder(settings.folder),
        listening_sockets(config.host, config.port, config.workers) as listening,
    ):
        if config.host not in LOCAL and not keys:
            print(
                f"warning: {config.host} can be reached from outside this machine and no API key is needed. "
                "Set ATNET_API_KEYS to name=key.",
                file=sys.stderr,
            )
        address = f"http://{config.host}:{listening[0].getsockname()[1]}"
        print(f"serve: {address} answers with {config.alias} of {settings.model} (Ctrl-C ends it)", flush=True)
        configure_logging()
        prepare_folder(settings)
        Supervisor(settings, listening).run()


def _settings(given: dict[str, Any], *, shadow: bool) -> "ServiceSettings":
    # Not atnet.storage: it needs pandas, which the service's environment does not have.
    from atnet.config import parse_params
    from atnet.serving.settings import service_settings

    file = Path("params.yaml")
    if not file.is_file():
        raise ConfigurationError(f"{file} is not here. Run the command in the project's folder.")
    params = parse_params(file.read_text(encoding="utf-8"))
    config = params.serve.model_copy(update={name: value for name, value in given.items() if value is not None})
    return service_settings(params.model_copy(update={"serve": config}), Path.cwd(), shadow=shadow)
