"""The contract of the port `Workflow`, held by the executor of one machine and by Step Functions."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chalicelib.aws import platform
from chalicelib.ports import Workflow
from local import executor
from local.executor import Executor
from local.records import SQLiteRecords
from local.worker import Workplace
from local.workers import WorkerLost

JOB, OTHER = "01k0000000000000000000000a", "01k0000000000000000000000b"


@dataclass(eq=False)
class Busy:
    """A worker whose first step takes until it is interrupted."""

    interrupted: threading.Event = field(default_factory=threading.Event)

    def run(self, step: str, _arguments: object) -> None:
        if step == "plan":
            self.interrupted.wait(30)
            raise WorkerLost

    def interrupt(self) -> None:
        self.interrupted.set()


class Crew:
    """As many of these as are asked for."""

    def __init__(self, _: object) -> None:
        self.busy: list[Busy] = []

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Busy]:
        self.busy.append(Busy())
        yield self.busy[-1]

    def dismiss(self) -> None:
        for worker in self.busy:
            worker.interrupt()


@dataclass
class Runs:
    """A workflow, and the names of the runs that are going on."""

    workflow: Workflow
    names: Callable[[], list[str]]

    def become(self, *names: str) -> bool:
        """Whether these runs alone are going on, within seconds."""
        deadline = time.monotonic() + 10
        while sorted(self.names()) != sorted(names) and time.monotonic() < deadline:
            time.sleep(0.01)
        return sorted(self.names()) == sorted(names)


@pytest.fixture(params=["machine", "aws"])
def runs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    if request.param == "machine":
        monkeypatch.setattr(executor, "Crew", Crew)
        workplace = Workplace(tmp_path, tmp_path, b"secret", processes=2, threads=1)
        running = Executor(workplace, SQLiteRecords(tmp_path / "records.sqlite"))
        yield Runs(running, lambda: [run.execution for run in list(running._running.values())])
        running.close()
    else:
        functions = platform.workflow(request.getfixturevalue("aws_environment"))

        def names() -> list[str]:
            listed = functions.client.list_executions(stateMachineArn=functions.arn, statusFilter="RUNNING")
            return [execution["name"] for execution in listed["executions"]]

        yield Runs(functions, names)


def test_a_run_is_started_once_however_many_ask_for_it(runs: Runs) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(runs.workflow.start, [JOB] * 8))
    runs.workflow.start(OTHER)
    assert runs.become(JOB, OTHER)


def test_a_run_is_stopped_alone_and_as_often_as_anybody_likes(runs: Runs) -> None:
    runs.workflow.stop(JOB)
    for job in (JOB, OTHER):
        runs.workflow.start(job)
    for _ in range(2):
        runs.workflow.stop(JOB)
        assert runs.become(OTHER)


def test_another_attempt_is_a_run_that_the_first_does_not_stop(runs: Runs) -> None:
    runs.workflow.start(JOB)
    runs.workflow.stop(JOB)
    runs.workflow.start(f"{JOB}-2")
    assert runs.become(f"{JOB}-2")
    runs.workflow.stop(JOB)
    assert runs.become(f"{JOB}-2")
    runs.workflow.stop(f"{JOB}-2")
    assert runs.become()
