"""How many worker processes, with how many threads each, suit this machine."""

import os
from dataclasses import dataclass

# Measured resident size of a worker: its weights, as much again for buffers, and the libraries (docs/benchmarks.md).
LIBRARY_BYTES = 200 * 2**20
MODEL_FACTOR = 2.5
MEMORY_SHARE = 0.6


@dataclass(frozen=True)
class Layout:
    processes: int
    threads: int


def layout(cpus: int, memory: int, model_size: int) -> Layout:
    """One process per processor, since whisper.cpp scales better over processes than over threads, as far as memory goes.

    `memory` of the machine and `model_size` are bytes. Processors that memory leaves without a process become threads.
    """
    affordable = int(MEMORY_SHARE * memory / (MODEL_FACTOR * model_size + LIBRARY_BYTES))
    processes = max(1, min(cpus, affordable))
    return Layout(processes, max(1, cpus // processes))


def this_machine(model_size: int) -> Layout:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return layout(_cpus(), memory, model_size)


def _cpus() -> int:
    """The processors that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
