"""What the platform tells the service about itself."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """`models` are those installed, each with whether it is multilingual; URLs live `url_seconds`; sizes are bytes.

    `object_origins` are scheme and host of the signed URLs of objects, where that is not the API itself.
    """

    models: Mapping[str, bool]
    default_model: str
    largest_file: int
    url_seconds: int = 12 * 3600
    object_origins: tuple[str, ...] = ()
    version: str = "0.1.0"
