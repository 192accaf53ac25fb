"""What Linux leaves this process of the machine: limits that containers and systemd set (control groups, version 2)."""

import math
import re
from pathlib import Path, PurePath

MEMBERSHIP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def processors() -> float:
    """How many may be busy at once, such as 1.5; infinity without a limit."""
    return _least("cpu.max")


def memory() -> float:
    """Bytes; infinity without a limit."""
    return _least("memory.max")


def _least(name: str) -> float:
    """Of the limits of this process's group and of all that it is in."""
    try:
        own = group(MEMBERSHIP.read_text())
        files = [GROUPS / each / name for each in (own, *own.parents)]
        return min((limit(file.read_text()) for file in files if file.is_file()), default=math.inf)
    except (OSError, ValueError):
        return math.inf


def group(membership: str) -> PurePath:
    """Where the group is in the tree of groups; its root if that is not told."""
    told = re.search("^0::/(.*)$", membership, re.MULTILINE)
    return PurePath(told[1] if told else "")


def limit(text: str) -> float:
    """What a file says: a quantity or `max`; of time then the period that it is of. Raises ValueError."""
    quantity, _, period = text.strip().partition(" ")
    return math.inf if quantity == "max" else int(quantity) / int(period or 1)
