"""What the functions of a stage have logged."""

from collections.abc import Iterator
from typing import Any


def lines(logs: Any, stage: str, since: float) -> list[str]:
    """Each with the group that it is of, in the order of time from `since` (seconds since 1970); boto3's `logs`."""
    found = []
    for name in _groups(logs, stage):
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name, startTime=int(since * 1000)):
            found += [(event["timestamp"], name.rpartition("/")[2], event["message"]) for event in page["events"]]
    return [f"{group} {message.rstrip()}" for _, group, message in sorted(found)]


def delete(logs: Any, stage: str) -> None:
    """Deletes the log groups that functions of the API have made for themselves."""
    for name in _groups(logs, stage):
        logs.delete_log_group(logGroupName=name)


def _groups(logs: Any, stage: str) -> Iterator[str]:
    """The log groups of a stage; others have names that begin as its own."""
    own = f"/aws/lambda/transcribe-{stage}"
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=own):
        for group in page["logGroups"]:
            if group["logGroupName"] == own or group["logGroupName"].startswith(f"{own}-"):
                yield group["logGroupName"]
