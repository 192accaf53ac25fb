"""`Idempotency-Key`: a request that is sent again because its answer was lost does what it does once."""

import hashlib
import json

from chalicelib import ids
from chalicelib.errors import conflict
from chalicelib.jobs import Claim
from chalicelib.ports import Records
from chalicelib.validation import field_error, wrong_fields

KEPT_SECONDS = 24 * 3600
MAX_CHARACTERS = 255


def claim(records: Records, owner: str, key: str, body: str | bytes, now: float) -> Claim:
    """Which job the request makes: that of the first one with this key. Raises Problem if its body was another."""
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= MAX_CHARACTERS):
        raise wrong_fields(
            field_error("Idempotency-Key", f"must have 1 to {MAX_CHARACTERS} printable ASCII characters")
        )
    wanted = Claim(
        id=digest(json.dumps([owner, key])),
        job=ids.job_id(now),
        request_sha256=digest(body),
        created_at=now,
        expires_at=now + KEPT_SECONDS,
    )
    found = records.claim(wanted, now)
    if found.request_sha256 != wanted.request_sha256:
        raise conflict("This Idempotency-Key came with another body before. Send another key with another request.")
    return found


def digest(text: str | bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
