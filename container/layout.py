"""How many recognisers, with how many threads each, suit some processors and memory."""

from dataclasses import dataclass

# Measured resident size of a recogniser: its weights, as much again for buffers; libraries, and sounds heard together.
LIBRARY_BYTES = 320 * 2**20
MODEL_FACTOR = 2.5
MEMORY_SHARE = 0.6


@dataclass(frozen=True)
class Layout:
    """`recognisers` side by side, each with `threads` of its own."""

    recognisers: int
    threads: int


def held(model_size: int) -> float:
    """The memory that a recogniser holds, in bytes as the size of its model."""
    return MODEL_FACTOR * model_size + LIBRARY_BYTES


def layout(cpus: int, memory: int, model_size: int) -> Layout:
    """One recogniser per processor as far as memory goes: recognising scales better over models than over threads.

    `memory` and `model_size` are bytes. Processors that memory leaves without a recogniser become threads.
    """
    affordable = int(MEMORY_SHARE * memory / held(model_size))
    recognisers = max(1, min(cpus, affordable))
    return Layout(recognisers, max(1, cpus // recognisers))
