"""Functions in processes of their own: AWS's emulator and runtime client, as in the image."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from deploy import emulator

ROOT = Path(__file__).parent.parent
PATH = "/2015-03-31/functions/function/invocations"


@dataclass(frozen=True)
class Function:
    """One container, which takes one event at a time."""

    url: str
    log: Path
    process: int

    def invoke(self, event: Any) -> Any:
        """The result, or what Lambda tells of an error: `errorType` and `errorMessage`."""
        # Loading certificates, which are not needed here, takes longer than most steps.
        answer = httpx.post(self.url + PATH, json=event, timeout=300, verify=False)  # noqa: S501
        if answer.status_code == HTTPStatus.BAD_GATEWAY:
            # The emulator's word for a program that died while it started.
            return {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited without providing a reason"}
        return json.loads(answer.raise_for_status().content)

    def lines(self) -> list[dict[str, Any]]:
        """The structured lines of the log."""
        found = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in found]

    def kill(self) -> None:
        """The program dies, as when it needs too much memory; the emulator around it lives on."""
        children = Path(f"/proc/{self.process}/task").glob("*/children")
        for child in {int(id) for listed in children for id in listed.read_text().split()}:
            with contextlib.suppress(ProcessLookupError):  # it was dying already
                os.kill(child, signal.SIGKILL)


@contextlib.contextmanager
def function(
    environment: Mapping[str, str],
    folder: Path,
    memory: int = 3008,
    timeout: int = 900,
    handler: str = "container.handler.handler",
    code: Path = ROOT,
) -> Iterator[Function]:
    """The function with `memory` MB (as it believes) that stops after `timeout` seconds; its log is in `folder`."""
    program = emulator.install(ROOT / ".cache" / "emulator")
    here, runtime = (f"127.0.0.1:{port}" for port in free_ports(2))
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(code),
        "TMPDIR": str(folder),
        "POWERTOOLS_SERVICE_NAME": "transcribe",
        "POWERTOOLS_METRICS_NAMESPACE": "Transcribe",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
        **environment,
    }
    listen = ["--runtime-interface-emulator-address", here, "--runtime-api-address", runtime]
    runtime_client = [sys.executable, "-m", "awslambdaric", handler]
    log = folder / "function.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, *listen, *runtime_client], env=settings, cwd=code, stdout=output, stderr=output
        )
    try:
        _wait(here)
        yield Function(f"http://{here}", log, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(address: str) -> None:
    host, port = address.split(":")
    for _ in range(1200):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {address}")
