"""Bearer tokens: `<id>.<secret>`. Whoever reads the records learns no token from them."""

import hashlib
import hmac
import secrets

from chalicelib.jobs import Token
from chalicelib.ports import Records

# 192 random bits cannot be guessed, so one round of SHA-256 keeps the secret; no slow hash is needed.
SECRET_BYTES = 24


def create(records: Records, owner: str, now: float, lifetime: float | None = None, id: str | None = None) -> str:
    """Records a new token of `owner`, valid for `lifetime` seconds or for good, and returns it: its only copy.

    It takes the place of an earlier token with the same `id`.
    """
    id, secret = id or secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    expires_at = None if lifetime is None else now + lifetime
    records.add_token(Token(id=id, owner=owner, secret_sha256=_hash(secret), created_at=now, expires_at=expires_at))
    return f"{id}.{secret}"


def owner(records: Records, authorization: str | None, now: float) -> str | None:
    """Whose valid token an `Authorization` header carries, `None` if nobody's."""
    scheme, _, token = (authorization or "").partition(" ")
    id, _, secret = token.strip().partition(".")
    if scheme.lower() != "bearer" or not id or not secret:
        return None
    record = records.token(id)
    if record is None or not hmac.compare_digest(record.secret_sha256, _hash(secret)):
        return None
    return record.owner if record.expires_at is None or now < record.expires_at else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
