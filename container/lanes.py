"""Several recognisers side by side in one process: each thread has a model of its own.

Recognisers run outside Python's interpreter lock, so threads use all processors. Lambda has no /dev/shm, which rules
out the locks and queues of multiprocessing.
"""

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from chalicelib.transcript import BatchChunk
from container import catalogue
from container.layout import Layout, layout
from container.packing import pack
from container.recogniser import Recogniser, Shelf

Result = TypeVar("Result")


class Lanes:
    """The processors and the memory (bytes) of a function, shared out to recognisers of the models in a folder."""

    def __init__(self, models: Path, cpus: int, memory: int) -> None:
        self._models = models
        self._cpus = cpus
        self._memory = memory
        self._pool = ThreadPoolExecutor(cpus, thread_name_prefix="lane")
        self._own = threading.local()

    def layout(self, model: str) -> Layout:
        """Raises ModelError if the model is not there."""
        return layout(self._cpus, self._memory, catalogue.path(model, self._models).stat().st_size)

    def recogniser(self, model: str) -> Recogniser:
        """This thread's recogniser of a model."""
        if not hasattr(self._own, "shelf"):
            self._own.shelf = Shelf(self._load)
        shelf: Shelf = self._own.shelf
        return shelf.get(model)

    def _load(self, model: str) -> Recogniser:
        return Recogniser(catalogue.path(model, self._models), self.layout(model).threads)

    def share(
        self, model: str, chunks: Sequence[BatchChunk], work: Callable[[list[BatchChunk]], Result]
    ) -> list[Result]:
        """What `work` makes of each lane's share of the chunks, in the order of the chunks.

        Every lane comes to its end before the error of one is raised, so that none goes on in the next invocation.
        """
        shares = pack(chunks, math.inf, self.layout(model).recognisers)
        futures = [self._pool.submit(work, share.chunks) for share in shares]
        wait(futures)
        return [future.result() for future in futures]
