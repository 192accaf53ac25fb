"""The events of AWS, as far as the service takes note of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus


@dataclass(frozen=True)
class ObjectCreated:
    """An object was written, at `time` (seconds since 1970); `version` tells this writing from any other of the key."""

    key: str
    size: int
    time: float
    version: str


def objects_created(event: Mapping[str, Any]) -> list[ObjectCreated]:
    """What an event notification of S3 tells. Keys come URL-encoded, with `+` for a space."""
    return [
        ObjectCreated(
            key=unquote_plus(record["s3"]["object"]["key"]),
            size=record["s3"]["object"]["size"],
            time=datetime.fromisoformat(record["eventTime"]).timestamp(),
            version=f"{record['s3']['object']['eTag']} {record['s3']['object']['sequencer']}",
        )
        for record in event["Records"]
    ]
