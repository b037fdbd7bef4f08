"""Child processes that exchange JSON lines: messages, and how they end."""

import os
import queue
import signal
import sys

import pytest

from atnet.errors import ProcessInterrupted
from atnet.subprocesses import JsonLineProcess, JsonMessage, is_alive, is_resource_error

ECHO = """
import json, sys
print("not a message")
for line in sys.stdin:
    print(json.dumps({"echo": json.loads(line)}), flush=True)
"""


def started(code: str) -> JsonLineProcess:
    return JsonLineProcess([sys.executable, "-c", code], environment=dict(os.environ))


def test_messages_go_both_ways_and_other_output_is_ignored() -> None:
    process = started(ECHO)
    try:
        process.send({"text": "não"})
        assert process.receive(30) == {"echo": {"text": "não"}}
    finally:
        process.close()
    assert not is_alive(process.process_id)


def test_a_process_that_ends_by_itself_gives_no_message_and_its_last_log_line() -> None:
    process = started("import sys; sys.exit('no such file: péssimo.json')")
    try:
        assert process.receive(30) is None
        assert process.end_reason() == "no such file: péssimo.json"
    finally:
        process.close()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_killed_from_outside_is_interrupted(sent: signal.Signals) -> None:
    process = started(ECHO)
    try:
        os.kill(process.process_id, sent)
        with pytest.raises(ProcessInterrupted, match=f"killed by {sent.name}"):
            process.receive(30)
    finally:
        process.close()


def test_a_crash_of_the_process_itself_is_no_interruption() -> None:
    process = started("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    try:
        assert process.receive(30) is None
        assert process.end_reason() == "killed by SIGSEGV"
    finally:
        process.close()


def test_a_process_without_a_reply_in_time_is_ended_and_the_wait_is_named() -> None:
    process = started("import time; time.sleep(600)")
    try:
        with pytest.raises(ProcessInterrupted, match=r"within 0\.2 s"):
            process.receive(0.2)
        assert not is_alive(process.process_id)
    finally:
        process.close()


def test_messages_can_be_delivered_to_a_queue_shared_by_several_processes() -> None:
    shared: queue.SimpleQueue[tuple[int, JsonMessage | None]] = queue.SimpleQueue()

    def deliver(number: int, message: JsonMessage | None) -> None:
        shared.put((number, message))

    command = [sys.executable, "-c", "import json; print(json.dumps({'done': True}))"]
    processes = [
        JsonLineProcess(command, environment=dict(os.environ), on_message=lambda message, n=number: deliver(n, message))
        for number in range(2)
    ]
    received = [shared.get(timeout=30) for _ in range(4)]
    for process in processes:
        process.close()
    assert sorted(number for number, _ in received) == [0, 0, 1, 1]
    assert [message for _, message in received].count(None) == 2


def test_a_child_ends_with_its_parents_input() -> None:
    process = started(
        "from atnet.subprocesses import JsonLineChannel\n"
        "channel = JsonLineChannel()\n"
        "print('a library prints this')\n"
        "channel.send({'up': 1})\n"
        "channel.receive()\n"
    )
    assert process.receive(60) == {"up": 1}
    process.close()
    assert not is_alive(process.process_id)


@pytest.mark.parametrize(
    "message",
    [
        "MemoryError: Unable to allocate 1 GiB",
        "terminate called after throwing 'std::bad_alloc'",
        "OSError: [Errno 28] No space left on device",
    ],
)
def test_lack_of_memory_or_disk_space_is_recognized(message: str) -> None:
    assert is_resource_error(message)
    assert not is_resource_error("ValueError: the version has no input example")


def test_a_process_that_has_ended_is_not_alive() -> None:
    process = started("pass")
    process.close()
    assert not is_alive(process.process_id)
    assert is_alive(os.getpid())
