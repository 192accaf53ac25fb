"""What the platform tells the service about itself."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """`models` are those installed, each with whether it is multilingual; URLs live `url_seconds`; sizes are bytes.

    `object_origins` are scheme and host of the signed URLs of objects, where that is not the API itself. A file of at
    most `largest_put` can be uploaded by a single request.
    """

    models: Mapping[str, bool]
    default_model: str
    largest_file: int
    largest_put: int = 5 * 2**30
    url_seconds: int = 12 * 3600
    object_origins: tuple[str, ...] = ()
    version: str = "0.1.0"
