"""What a token allows: its scopes, its limits, and what is kept of it."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from chalicelib.fields import UNIQUE, Request, Whole
from chalicelib.requests import WebhookURL

MAX_NAME = 100
MAX_DAYS = 3650


class Scope(StrEnum):
    """`read`: see one's own jobs. `write`: make, change and delete them. `admin`: manage everybody's tokens."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


USUAL = (Scope.READ, Scope.WRITE)


def scope_of(method: str) -> Scope:
    """The scope that a request needs unless its route says otherwise."""
    return Scope.READ if method in ("GET", "HEAD", "OPTIONS") else Scope.WRITE


def plain_name(name: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in name) or name != name.strip():
        raise ValueError("must not hold control characters, nor begin or end with a space")
    return name


PlainName = Annotated[
    str,
    Field(max_length=MAX_NAME, json_schema_extra={"pattern": r"^(?!\s)[^\x00-\x1f\x7f]*(?<!\s)$"}),
    AfterValidator(plain_name),
]


def distinct(scopes: list[Scope]) -> list[Scope]:
    if len(set(scopes)) < len(scopes):
        raise ValueError("must name each scope once")
    return scopes


class Limits(Request):
    """What a token may use; null is no limit. A month is one of the calendar, in UTC; `largest_file` is in bytes."""

    requests_per_minute: Annotated[PositiveInt, Whole] | None = None
    audio_hours_per_month: PositiveFloat | None = None
    dollars_per_month: PositiveFloat | None = None
    largest_file: Annotated[PositiveInt, Whole] | None = None
    files_per_job: Annotated[PositiveInt, Whole] | None = None


class NewToken(Request):
    """A token to make."""

    owner: Annotated[PlainName, Field(min_length=1)]
    name: PlainName = ""
    scopes: Annotated[list[Scope], Field(min_length=1, json_schema_extra=UNIQUE), AfterValidator(distinct)] = Field(
        default=list(USUAL)
    )
    days: Annotated[
        Annotated[int, Field(ge=1, le=MAX_DAYS), Whole] | None,
        Field(description="How long it is valid; null: for ever."),
    ] = None
    limits: Limits = Limits()
    webhook: Annotated[
        WebhookURL | None,
        Field(description="An https:// URL that is told of the end of every job that names no other."),
    ] = None


class Token(BaseModel):
    """What is kept of a bearer token: never the token itself, only the SHA-256 of its secret part.

    `webhook_secret` signs what is told to webhooks, and so cannot be kept as a hash. Times are seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    owner: str
    secret_sha256: str
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None
    name: str = ""
    scopes: list[Scope] = list(USUAL)
    limits: Limits = Limits()
    webhook: str | None = None
    webhook_secret: str | None = None
