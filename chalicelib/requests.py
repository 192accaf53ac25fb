"""The bodies of the requests that make jobs."""

import re
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from chalicelib import addresses
from chalicelib.fields import UNIQUE, Count, RelativePath, Request, Whole
from chalicelib.jobs import Options

MAX_PAGE = 1000
"""Files in one request."""
MAX_TITLE_CHARACTERS = 256
MAX_LABELS = 20
LABEL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_LABEL_CHARACTERS = 200
MAX_KEEP_DAYS = 3650
MAX_URL_CHARACTERS = 2000


class NewFile(Request):
    """A file to upload: its path below the folder that the job is about, and its size in bytes."""

    path: RelativePath
    size: Annotated[Count, Field(description="In bytes.")]


def no_clashes(files: list[NewFile]) -> list[NewFile]:
    folders = {str(folder): file.path for file in files for folder in PurePosixPath(file.path).parents}
    seen: set[str] = set()
    for file in files:
        if file.path in seen:
            raise ValueError(f"must not hold the path {file.path!r} twice")
        if file.path in folders:
            raise ValueError(f"must not use {file.path!r} both as a file and as the folder of {folders[file.path]!r}")
        seen.add(file.path)
    return files


def one_line(title: str) -> str:
    if not title.strip() or any(ord(character) < 32 or ord(character) == 127 for character in title):
        raise ValueError("must be one line with something in it")
    return title


Title = Annotated[
    str,
    Field(max_length=MAX_TITLE_CHARACTERS),
    AfterValidator(one_line),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_TITLE_CHARACTERS,
            "pattern": r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
        }
    ),
]


def short_labels(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > MAX_LABELS:
        raise ValueError(f"must hold no more than {MAX_LABELS} labels")
    for name, value in labels.items():
        if not LABEL_NAME.fullmatch(name):
            raise ValueError(f"must not have the name {name!r}: a name is made of up to 64 letters, digits, '_.-'")

        if len(value) > MAX_LABEL_CHARACTERS or any(ord(character) < 32 for character in value):
            raise ValueError(f"must give {name!r} a value of one line and at most {MAX_LABEL_CHARACTERS} characters")
    return labels


Labels = Annotated[
    dict[str, str],
    AfterValidator(short_labels),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_LABELS,
            "propertyNames": {"pattern": f"^{LABEL_NAME.pattern}$"},
            "additionalProperties": {
                "type": "string",
                "maxLength": MAX_LABEL_CHARACTERS,
                "pattern": r"^[^\x00-\x1f]*$",
            },
        }
    ),
]


class NewFiles(Request):
    """Some of a job's files, of which it has all when it is `sealed`."""

    files: Annotated[
        list[NewFile], Field(max_length=MAX_PAGE, json_schema_extra=UNIQUE), AfterValidator(no_clashes)
    ] = Field(default=[])
    sealed: bool = False


def webhook_url(url: str) -> str:
    """`url` itself if it may be told of a job's end, else a ValueError that says why not.

    What a name resolves to is looked at when it is told.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a URL, such as 'https://example.com/transcripts'") from None
    if parts.scheme != "https" or not host or parts.username is not None or port == 0:
        raise ValueError("must be an https:// URL without user or password")
    if addresses.is_address(host) and not addresses.is_public(host):
        raise ValueError("must name a host of the public internet")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("must hold ASCII characters without spaces alone: encode others")
    return url.partition("#")[0]


WebhookURL = Annotated[
    str,
    Field(max_length=MAX_URL_CHARACTERS),
    AfterValidator(webhook_url),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_URL_CHARACTERS,
            "pattern": r"^https://([A-Za-z0-9-]+\.)+[A-Za-z]{2,}(:[1-9][0-9]{0,3})?(/[!-~]*)?$",
        }
    ),
]


class NewJob(Request):
    """A job to make."""

    files: Annotated[
        list[NewFile],
        Field(min_length=1, max_length=MAX_PAGE, json_schema_extra=UNIQUE),
        AfterValidator(no_clashes),
    ]
    title: Annotated[
        Title | None,
        Field(description="What to call it; null: the folder that all files are in, or else the path of the first."),
    ] = None
    options: Options = Options()
    sealed: Annotated[bool, Field(description="Whether these are all files.")] = True
    labels: Annotated[Labels, Field(description="Names with values, to find jobs by.")] = Field(default={})
    keep_days: Annotated[
        Annotated[int, Field(ge=1, le=MAX_KEEP_DAYS), Whole] | None,
        Field(description="After so many days all of the job is deleted; null: it is kept."),
    ] = None
    webhook: Annotated[WebhookURL | None, Field(description="An https:// URL that is told of its end.")] = None
