"""`atnet watch`: notify people of what happens in the project."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from atnet.files import STATE
from atnet.notifications.addresses import NOTIFY_VARIABLE, read_addresses
from atnet.notifications.watch import watch as watch_project
from atnet.storage import exclusive_lock, load_params

app = typer.Typer()
LOCK = STATE / "watch.lock"


@app.command()
def watch(
    once: Annotated[bool, typer.Option("--once", help="Check once and exit, for a timer such as cron.")] = False,
) -> None:
    """Send one notification for each failure, release, drift alarm and fault, until interrupted."""
    params, root, addresses = load_params(), Path.cwd(), read_addresses(os.environ)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    count = len(addresses.by_key)
    target = f"{count} address{'es' if count > 1 else ''}" if count else f"the log; set {NOTIFY_VARIABLE} for others"
    with exclusive_lock(root / LOCK, "`atnet watch` is running in this project already."):
        print(f"watch: notifications go to {target}", flush=True)
        watch_project(params, root, addresses, stop=stop, once=once)
