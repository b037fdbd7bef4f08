"""Start a team's servers on this machine and stop all of them with Ctrl-C: `make team-demo`.

Options are environment variables, which `make team-demo` sets: MLFLOW_PORT, PREFECT_PORT, POSTGRES_PORT, S3_PORT, and
PGDATA for PostgreSQL's folder.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import honcho.manager
from honcho.environ import parse_procfile

from atnet.environment import prepare_process
from atnet.errors import AtnetError, ConfigurationError
from atnet.file_system import file_system_errors
from pipelines.keep_running import STARTED_BY, STOP_SECONDS
from pipelines.team_demo import mlflow_server, object_storage, postgresql
from pipelines.team_demo.settings import LOCAL, TEAM, WORKER, Demo, Ports, load_demo, read_ports, write_user_files
from pipelines.up import UP_LOCK, only_one, run_until_stopped

PROCFILE = Path("Procfile.team")
FOREIGN = ("MLFLOW_", "PREFECT_", "AWS_", "PG")
"""Variables with these prefixes belong to other servers."""


def require_free_ports(ports: Ports) -> None:
    """Check that nothing listens at the ports.

    Raises:
        ConfigurationError: naming the variable to change.
    """
    variables = {"mlflow": "MLFLOW_PORT", "prefect": "PREFECT_PORT", "postgresql": "POSTGRES_PORT", "s3": "S3_PORT"}
    for name, port in asdict(ports).items():
        with socket.socket() as probe:
            if probe.connect_ex((LOCAL, port)) == 0:
                raise ConfigurationError(
                    f"Port {port} is in use. Stop the program that listens there, or choose another port: "
                    f"`make team-demo {variables[name]}={port + 1}`."
                )


def base_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every part: this process's without settings of other servers."""
    kept = {name: value for name, value in source.items() if not name.startswith(FOREIGN)}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), source.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
        STARTED_BY: str(os.getpid()),
    }


def part_environments(demo: Demo) -> dict[str, dict[str, str]]:
    """Return what each part of Procfile.team needs beyond the base; no part gets another one's credentials."""
    ports = {"MLFLOW_PORT": str(demo.ports.mlflow), "PREFECT_PORT": str(demo.ports.prefect)}
    prefect = {
        "PREFECT_API_DATABASE_CONNECTION_URL": demo.database_url("prefect", "postgresql+asyncpg"),
        # The defaults of 5 and 10 s are too short for a busy machine.
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_API_AUTH_STRING": demo.passwords["prefect"],
        "PREFECT_API_AUTH_STRING": demo.passwords["prefect"],
        "PREFECT_API_URL": demo.prefect_url,
        # Otherwise the page calls port 4200, whatever port it is served from.
        "PREFECT_SERVER_UI_API_URL": demo.prefect_url,
    }
    return {
        "mlflow": {**ports, **mlflow_server.server_environment(demo)},
        "prefect": {**ports, **prefect},
        "worker": demo.user_environment(WORKER),
    }


@contextlib.contextmanager
def storage_running(demo: Demo, environment: Mapping[str, str]) -> Iterator[None]:
    """Run PostgreSQL and SeaweedFS, with their databases and buckets, as long as the block lasts."""
    data = Path(os.environ.get("PGDATA") or demo.folder / "postgresql").resolve()
    postgresql.create_cluster(data, demo.passwords["database_postgres"])
    with contextlib.ExitStack() as stack:
        command = postgresql.server_command(data, demo.ports.postgresql)
        stack.enter_context(_kept_running("postgresql", command, demo, environment, "--interrupt"))
        stack.enter_context(_kept_running("seaweedfs", object_storage.server_command(demo), demo, environment))
        postgresql.wait_for_server(demo)
        postgresql.create_databases(demo)
        print(f"PostgreSQL: {LOCAL}:{demo.ports.postgresql} answers", flush=True)
        object_storage.create_buckets(demo)
        print(f"S3: {demo.s3_url} answers", flush=True)
        yield


@contextlib.contextmanager
def _kept_running(
    name: str, command: list[str], demo: Demo, environment: Mapping[str, str], *options: str
) -> Iterator[None]:
    part = [sys.executable, "-m", "pipelines.keep_running", name, "--stop-order", "2", *options, "--", *command]
    with (demo.folder / f"{name}.log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(part, env=dict(environment), stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=3 * STOP_SECONDS)


def _announce(demo: Demo) -> None:
    """Create MLflow's users as soon as its server answers, and say how to work with the servers."""
    try:
        mlflow_server.create_users(demo)
    except AtnetError as error:
        print(f"team-demo: {error}", file=sys.stderr, flush=True)
        return
    shown = Path(os.path.relpath(demo.folder))
    print(f"MLflow: users {', '.join(TEAM)}; their variables: set -a; . {shown}/{TEAM[0]}.env; set +a", flush=True)


def _run(root: Path) -> int:
    ports = read_ports(os.environ)
    require_free_ports(ports)
    demo = load_demo(root, ports)
    write_user_files(demo)
    environment = base_environment(os.environ)
    # Ctrl-C and a closed terminal also while the databases start: as an exception, so that they are stopped.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        with storage_running(demo, environment):
            manager = honcho.manager.Manager()
            extra = part_environments(demo)
            for name, command in parse_procfile((root / PROCFILE).read_text(encoding="utf-8")).processes.items():
                manager.add_process(name, command, env={**environment, **extra[name]}, cwd=str(root))
            threading.Thread(target=_announce, args=(demo,), daemon=True).start()
            return run_until_stopped(manager)
    except KeyboardInterrupt:
        return 0


def main() -> int:
    """Run until Ctrl-C; the exit code is 1 if something cannot be started."""
    prepare_process()
    root = Path.cwd()
    try:
        with file_system_errors(), only_one(root / UP_LOCK):
            return _run(root)
    except AtnetError as error:
        print(f"team-demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
