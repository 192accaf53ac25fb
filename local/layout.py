"""What suits this machine."""

import math
import os
from pathlib import Path

from container import catalogue
from container.layout import Layout, layouts
from local import calibration, cgroup


def this_machine(models: Path, model: str) -> Layout:
    """The quickest layout for a model of this folder, as was measured, with memory for the largest that is there.

    Any job may ask for the largest, and all recognisers may be at that job. Raises ModelError.
    """
    memory = int(min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), cgroup.memory()))
    largest = max(catalogue.path(name, models).stat().st_size for name in [model, *catalogue.installed(models)])
    return calibration.quickest(catalogue.path(model, models), layouts(_cpus(), memory, largest))


def _cpus() -> int:
    """The processors that this process may use, where the system tells; one that it may use in part is one."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(there, cgroup.processors()))
