"""The structured log: one JSON object per line, and no text of a request in it."""

import json
import subprocess
import sys

SCRIPT = """
import logging, threading
from atnet.serving.json_log import log_as_json
log_as_json()
logging.getLogger("a").info("two\\nlines", extra={"fields": {"status": 200}})
logging.getLogger("uvicorn.error").warning("not shown")
try:
    raise ValueError("a secret text")
except ValueError:
    logging.getLogger("b").exception("It failed.")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("another secret text")
"""


def test_lines_are_json_and_errors_are_logged_without_their_messages() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert "secret" not in done.stderr
    first, second, third, last = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["message"], first["status"], first["level"], first["logger"]) == ("two\nlines", 200, "info", "a")
    assert (second["error"], second["at"]) == ("ValueError", ["<string>:8"])
    assert (third["error"], third["level"]) == ("ZeroDivisionError", "critical")
    assert (last["error"], last["message"], done.returncode) == ("RuntimeError", "The process failed.", 1)
