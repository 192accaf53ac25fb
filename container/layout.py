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


def layouts(cpus: int, memory: int, model_size: int) -> list[Layout]:
    """Those that have all processors at work: as many recognisers as memory has room for, then half as many and so on.

    `memory` and `model_size` are bytes. Processors without a recogniser of their own become threads.
    """
    recognisers, found = max(1, min(cpus, int(MEMORY_SHARE * memory / held(model_size)))), list[Layout]()
    while recognisers:
        found.append(Layout(recognisers, cpus // recognisers))
        recognisers //= 2
    return found


def layout(cpus: int, memory: int, model_size: int) -> Layout:
    """The one with most recognisers, as suits where nothing can be measured: recognising scales better over models than
    over threads.
    """
    return layouts(cpus, memory, model_size)[0]
