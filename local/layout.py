"""What suits this machine."""

import os

from container.layout import Layout, layout


def this_machine(model_size: int) -> Layout:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return layout(_cpus(), memory, model_size)


def _cpus() -> int:
    """The processors that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
