"""Job ids: sortable by time, impossible to guess, safe in URLs, paths and execution names."""

import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32


def job_id(now: float) -> str:
    """A ULID in lower case: 48 bits of milliseconds since 1970 and 80 random bits, 26 characters."""
    number = int(now * 1000) << 80 | secrets.randbits(80)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_job_id(text: str) -> bool:
    return len(text) == 26 and all(character in ALPHABET for character in text)
