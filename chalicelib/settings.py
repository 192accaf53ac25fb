"""What the platform tells the service about itself."""

from collections.abc import Mapping
from dataclasses import dataclass

BATCH_SECONDS = 1200.0
"""Audio of a batch on AWS where nothing else is told: `make simulate` chooses it."""


@dataclass(frozen=True)
class Capacity:
    """What works on one job: `workers` side by side, each with `processors` and `gigabytes` of memory.

    A worker takes `batch_seconds` of audio at a time and `start_seconds` before its first. `gigabyte_second` is what
    memory costs in dollars, 0 on a machine of one's own.
    """

    workers: int = 1
    processors: float = 1.0
    gigabytes: float = 1.0
    batch_seconds: float = BATCH_SECONDS
    start_seconds: float = 0.0
    gigabyte_second: float = 0.0


@dataclass(frozen=True)
class Settings:
    """`models` are those installed, each with whether it is multilingual; URLs live `url_seconds`; sizes are bytes.

    `object_origins` are scheme and host of the signed URLs of objects, where that is not the API itself. A file of at
    most `largest_put` can be uploaded by a single request. `diarizes` if voices can be told apart.
    A request may wait `wait_seconds` for a transcript; API Gateway gives up after 29.
    """

    models: Mapping[str, bool]
    default_model: str
    largest_file: int
    diarizes: bool = False
    wait_seconds: float = 24
    largest_put: int = 5 * 2**30
    url_seconds: int = 12 * 3600
    object_origins: tuple[str, ...] = ()
    version: str = "0.1.0"
    capacity: Capacity = Capacity()
