"""What Lambda does with a deployed function: containers of its code and settings, one invocation in each at a time."""

import io
import queue
import threading
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaFunction

from tests import lambdas
from tests.lambdas import Function

Accident = Callable[[Any, Function], None]


def _nothing(_event: Any, _container: Function) -> None:
    pass


@dataclass
class Containers:
    """The containers of one function, at most `most` of them; more invocations wait, where Lambda would refuse them.

    The image is this checkout with the variables `image`; other functions run what was uploaded for them. `accident`
    runs beside each invocation, given the event and the container. `events` are all that came.
    """

    deployed: LambdaFunction
    access: Mapping[str, str]
    image: Mapping[str, str]
    folder: Path
    stack: ExitStack
    most: int = 2
    accident: Accident = _nothing
    events: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._idle: queue.LifoQueue[Function | None] = queue.LifoQueue()
        for _ in range(self.most):
            self._idle.put(None)
        self._starting = threading.Lock()
        self._started = 0

    def __call__(self, event: Any) -> Any:
        self.events.append(event)
        container = self._idle.get()
        broken = True
        try:
            container = container or self._start()
            threading.Thread(target=self.accident, args=(event, container)).start()
            answer = container.invoke(event)
            broken = isinstance(answer, dict) and answer.get("errorType", "").startswith("Runtime.")
        finally:
            # Lambda gives up a container whose program has died.
            self._idle.put(None if broken else container)
        if isinstance(answer, dict) and "errorType" in answer:
            raise type(answer["errorType"], (Exception,), {})(answer["errorMessage"])
        return answer

    def change(self, **settings: Any) -> None:
        """What `aws lambda update-function-configuration` does: the containers at rest are no longer used."""
        for name, value in settings.items():
            setattr(self.deployed, name, value)
        idle = [self._idle.get() for _ in range(self.most)]
        for _ in idle:
            self._idle.put(None)

    def _start(self) -> Function:
        with self._starting:
            self._started += 1
            folder = self.folder / f"container-{self._started}"
            variables = {name: str(value) for name, value in self.deployed.environment_vars.items()}
            settings: dict[str, Any] = {"memory": int(self.deployed.memory_size), "timeout": int(self.deployed.timeout)}
            if not self.deployed.handler:
                variables = {**self.image, **variables}
            else:
                settings |= {"handler": self.deployed.handler, "code": self._code()}
            variables |= {"AWS_LAMBDA_FUNCTION_NAME": self.deployed.function_name, **self.access}
            return self.stack.enter_context(lambdas.function(variables, folder, **settings))

    def _code(self) -> Path:
        code = self.folder / "code"
        if not code.exists():
            zipfile.ZipFile(io.BytesIO(self.deployed.code_bytes)).extractall(code)
        return code
