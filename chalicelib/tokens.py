"""Bearer tokens: `<id>.<secret>`. Whoever reads the records learns no token from them."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from chalicelib import answers, limits, views, webhooks
from chalicelib.access import NewToken, Token
from chalicelib.errors import not_found
from chalicelib.ports import Records
from chalicelib.validation import parsed

# 192 random bits cannot be guessed, so one round of SHA-256 keeps the secret; no slow hash is needed.
SECRET_BYTES = 24
DAY_SECONDS = 86400
# How often the time of the last use is written, so that using a token stays as cheap as reading.
USE_SECONDS = 60


@dataclass(frozen=True)
class Created:
    """A new token: `secret` is the only copy of what its user sends; `token` holds the only one of `webhook_secret`."""

    token: Token
    secret: str


def create(records: Records, new: NewToken, now: float, id: str | None = None) -> Created:
    """Records a new token. It takes the place of an earlier one with the same `id`."""
    id, secret = id or secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    token = Token(
        id=id,
        owner=new.owner,
        secret_sha256=_hash(secret),
        created_at=now,
        expires_at=None if new.days is None else now + new.days * DAY_SECONDS,
        name=new.name,
        scopes=new.scopes,
        limits=new.limits,
        webhook=new.webhook,
        webhook_secret=webhooks.new_secret(),
    )
    records.add_token(token)
    return Created(token, f"{id}.{secret}")


def authenticate(records: Records, authorization: str | None, now: float) -> Token | None:
    """The valid token that an `Authorization` header carries, `None` if there is none. Takes note of its use."""
    scheme, _, sent = (authorization or "").partition(" ")
    id, _, secret = sent.strip().partition(".")
    if scheme.lower() != "bearer" or not id or not secret:
        return None
    token = records.token(id)
    if token is None or not hmac.compare_digest(token.secret_sha256, _hash(secret)):
        return None
    if token.expires_at is not None and now >= token.expires_at:
        return None
    if token.last_used_at is None or now - token.last_used_at >= USE_SECONDS:
        records.use_token(id, now)
    return token


def make(records: Records, body: str | bytes, now: float) -> answers.NewlyMadeToken:
    """Answers `POST /tokens`: the token and its webhook secret are shown this once."""
    return shown(create(records, parsed(NewToken, body), now), now)


def shown(created: Created, now: float) -> answers.NewlyMadeToken:
    """A new token with its secrets."""
    shown = views.token(created.token, {}, now)
    return {**shown, "token": created.secret, "webhook_secret": created.token.webhook_secret}


def every(records: Records, now: float) -> answers.Tokens:
    """All tokens by owner and age, with what each has used this month."""
    tokens = sorted(records.tokens(), key=lambda token: (token.owner, token.created_at))
    return {"tokens": [views.token(token, limits.used(records, token.id, now), now) for token in tokens]}


def one(records: Records, id: str, now: float) -> answers.Token:
    token = records.token(id)
    if token is None:
        raise not_found("token")
    return views.token(token, limits.used(records, id, now), now)


def revoke(records: Records, id: str) -> None:
    """Takes a token away for good. What was made with it stays."""
    if not records.remove_token(id):
        raise not_found("token")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
