"""Job ids: sortable by time, impossible to guess, safe in URLs, paths and execution names."""

import hashlib
import json
import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32


def job_id(now: float) -> str:
    """A ULID in lower case: 48 bits of milliseconds since 1970 and 80 random bits, 26 characters."""
    return _ulid(now, secrets.randbits(80))


def event_job_id(time: float, *event: str) -> str:
    """The id of the job that an event gives rise to, the same whenever the event is told again."""
    digest = hashlib.sha256(json.dumps(event).encode()).digest()
    return _ulid(time, int.from_bytes(digest[:10]))


def parse_execution(name: str) -> tuple[str, int]:
    """The job and the attempt that a run of the workflow is named after."""
    job, _, attempt = name.partition("-")
    return job, int(attempt) if attempt.isascii() and attempt.isdigit() else 1


def is_job_id(text: str) -> bool:
    return len(text) == 26 and all(character in ALPHABET for character in text)


def time_of(id: str) -> float:
    """When an id was made, in seconds since 1970."""
    milliseconds = 0
    for character in id[:10]:
        milliseconds = milliseconds << 5 | ALPHABET.index(character)
    return milliseconds / 1000


def event_of(id: str) -> str:
    """What an id of `event_job_id` has of its event, whatever the time."""
    return id[10:]


def _ulid(time: float, tail: int) -> str:
    number = round(time * 1000) << 80 | tail
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
