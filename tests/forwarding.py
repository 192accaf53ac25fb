"""A forwarding proxy in a process of its own, for which every name is this machine's."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.http.proxy import HttpProxyBasePlugin

from tests.serving import CHECKOUT


class Names(HttpProxyBasePlugin):
    def resolve_dns(self, _host: str, _port: int) -> tuple[str, None]:
        return "127.0.0.1", None


@dataclass(frozen=True)
class Forwarding:
    """`address` is its host and port."""

    address: str
    log: Path

    def served(self, *words: str) -> bool:
        """Whether it has told, of some connection that is closed by now, all these words."""
        return any(all(word in line for word in words) for line in self.log.read_text().splitlines())


@contextmanager
def forwarding(folder: Path, *options: str) -> Iterator[Forwarding]:
    port, log = folder / "port", folder / "log"
    command = [sys.executable, "-m", "proxy", "--port", "0", "--port-file", str(port), "--log-file", str(log)]
    command += ["--num-acceptors", "1", "--num-workers", "1", "--plugins", "tests.forwarding.Names", *options]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not (port.exists() and port.read_text().endswith("\n")):
                assert process.poll() is None, log.read_text()
                time.sleep(0.02)
            yield Forwarding(f"127.0.0.1:{port.read_text().strip()}", log)
        finally:
            process.terminate()
