"""`make up`: start every process in the Procfile, keep them running, and stop them together.

Options are environment variables, which `make up` sets: HOST, PUBLIC_HOST, PREFECT_PORT, MLFLOW_PORT, SERVE_PORT.
honcho is used as a library because its command reads `.env` files and kills after 5 s.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import honcho.manager
from honcho.environ import parse_procfile

from atnet.config import Params, load_params
from atnet.environment import prepare_process
from atnet.errors import AtnetError, ConfigurationError, StoreError
from atnet.file_system import file_system_errors
from atnet.files import STATE
from atnet.running_servers import SERVERS_FILE, RunningServers, write_running_servers
from pipelines.keep_running import STARTED_BY, STOP_SECONDS

PROCFILE = Path("Procfile")
UP_LOCK = STATE / "up.lock"
LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Where the processes listen, and the host name under which browsers reach them."""

    host: str
    public_host: str
    prefect_port: int
    mlflow_port: int
    serve_port: int

    def servers(self) -> RunningServers:
        """Return the public addresses."""
        base = f"http://{self.public_host}"
        return RunningServers(
            process_id=os.getpid(),
            prefect=f"{base}:{self.prefect_port}/api",
            mlflow=f"{base}:{self.mlflow_port}",
            service=f"{base}:{self.serve_port}",
        )


def read_options(environment: Mapping[str, str], params: Params) -> UpOptions:
    """Read the options.

    Raises:
        ConfigurationError: if a port is not a number.
    """
    host = environment.get("HOST") or LOCAL

    def port(name: str, default: int) -> int:
        value = environment.get(name) or str(default)
        if not value.isdigit() or not 0 < int(value) < 65536:
            raise ConfigurationError(f"{name}={value} is not a port. Set it to a number from 1 to 65535.")
        return int(value)

    return UpOptions(
        host=host,
        public_host=environment.get("PUBLIC_HOST") or (LOCAL if host == "0.0.0.0" else host),
        prefect_port=port("PREFECT_PORT", 4200),
        mlflow_port=port("MLFLOW_PORT", 5000),
        serve_port=port("SERVE_PORT", params.serve.port or 8000),
    )


def require_free_ports(options: UpOptions) -> None:
    """Check that nothing listens at the ports.

    Raises:
        ConfigurationError: naming the variable to change.
    """
    ports = {"PREFECT": options.prefect_port, "MLFLOW": options.mlflow_port, "SERVE": options.serve_port}
    if len(set(ports.values())) < len(ports):
        raise ConfigurationError(f"The ports must differ: {', '.join(f'{n}_PORT={p}' for n, p in ports.items())}.")
    for name, port in ports.items():
        with socket.socket() as probe:
            if probe.connect_ex((LOCAL, port)) == 0:
                raise ConfigurationError(
                    f"Port {port} is in use. Stop the program that listens there, or choose another port: "
                    f"`make up {name}_PORT={port + 1}`."
                )


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Lock the project against a second `make up` or `make team-demo` while the block runs.

    Raises:
        StoreError: if it is running already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                "`make up` or `make team-demo` is already running in this project. Stop it with Ctrl-C first."
            ) from None
        yield


def part_environment(options: UpOptions, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the parts: the options, and Prefect's address for its page, the flows and `atnet`."""
    servers = options.servers()
    return {
        **environment,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "HOST": options.host,
        "PUBLIC_HOST": options.public_host,
        "PREFECT_PORT": str(options.prefect_port),
        "MLFLOW_PORT": str(options.mlflow_port),
        "SERVE_PORT": str(options.serve_port),
        "SERVE_PYTHON": environment.get("SERVE_PYTHON") or sys.executable,
        "PREFECT_API_URL": servers.prefect,
        # Otherwise the page calls port 4200, regardless of the port it is served from.
        "PREFECT_SERVER_UI_API_URL": servers.prefect,
        STARTED_BY: str(os.getpid()),
    }


def _run(root: Path) -> int:
    params = load_params(root / "params.yaml")
    options = read_options(os.environ, params)
    require_free_ports(options)
    manager = honcho.manager.Manager()
    environment = part_environment(options, os.environ)
    for name, command in parse_procfile((root / PROCFILE).read_text(encoding="utf-8")).processes.items():
        if name == "mlflow" and _remote_store(params):
            print(f"MLflow: {_remote_store(params)} (tracking.uri), so no MLflow server is started", flush=True)
            continue
        manager.add_process(name, command, env=environment, cwd=str(root))
    write_running_servers(root, options.servers())
    try:
        return run_until_stopped(manager)
    finally:
        (root / SERVERS_FILE).unlink(missing_ok=True)


def run_until_stopped(manager: honcho.manager.Manager) -> int:
    """Run the parts until Ctrl-C or until one of them ends; return the exit code, 0 after Ctrl-C."""
    # A part has this long to stop, and the servers wait for the other parts.
    honcho.manager.KILL_WAIT = 2 * STOP_SECONDS + 5
    # A closed terminal stops everything, as Ctrl-C does.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    stopped_by_user = manager.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    return 0 if stopped_by_user else int(manager.returncode or 0)


def _remote_store(params: Params) -> str | None:
    from atnet.redaction import without_credentials

    uri = os.environ.get("MLFLOW_TRACKING_URI") or params.tracking.uri
    return without_credentials(uri) if uri.startswith(("http://", "https://")) else None


def main() -> int:
    """Run until Ctrl-C; the exit code is 1 if something cannot be started."""
    prepare_process()
    root = Path.cwd()
    try:
        with (
            file_system_errors(),
            only_one(root / UP_LOCK),
        ):
            return _run(root)
    except AtnetError as error:
        print(f"up: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
