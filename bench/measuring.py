"""What a program takes: time, processor time and memory of its process and all that come from it."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.25
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Taken:
    """`seconds` from start to end, `cpu_seconds` of all processes, `peak_bytes` the largest sum of their memory.

    Memory is the proportional set size: what several processes share counts once.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


class Failed(Exception):
    """A program ended with an error; the message is the end of what it said."""


def run(command: Sequence[str], cores: int, log: Path, variables: Mapping[str, str] | None = None) -> Taken:
    """Runs a program on the first `cores` processors that this process may use. Raises Failed.

    Its standard output is in the result, its standard error in `log`.
    """
    processors = sorted(os.sched_getaffinity(0))[:cores]
    began = time.monotonic()
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(variables or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
        )
    peak = _Peak(process.pid)
    peak.start()
    assert process.stdout
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    peak.join()
    if process.returncode:
        raise Failed(f"{' '.join(command)}: exit code {process.returncode}. {log.read_text()[-2000:]}")
    return Taken(seconds, usage.ru_utime + usage.ru_stime, peak.bytes, output)


class _Peak(threading.Thread):
    """Follows a process and its descendants until it is gone."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.bytes = 0

    def run(self) -> None:
        try:
            process = psutil.Process(self._pid)
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                held = sum(_held(each) for each in [process, *process.children(recursive=True)])
                self.bytes = max(self.bytes, held)
                time.sleep(EVERY)
        except psutil.NoSuchProcess:
            return


def _held(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0
