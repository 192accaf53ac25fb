"""What fields of several requests have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chalicelib import languages

# An S3 key has at most 1,024 bytes, and `transcripts/<job>/`, a suffix and a counter come on top of the path.
MAX_PATH_BYTES = 900
# File systems allow 255 bytes a name; the suffix of a transcript needs some of them.
MAX_NAME_BYTES = 240


# Of a recording.
LONGEST_SECONDS = 100 * 3600
# Larger ones are beyond 64 bits, and any disk.
MAX_COUNT = 2**63 - 1
# S3 takes what is to be deleted as XML.
NOT_IN_XML = frozenset("\ufffe\uffff")


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


# 3.0 is a whole number in JSON too.
Whole = BeforeValidator(lambda number: int(number) if isinstance(number, float) and number.is_integer() else number)
Count = Annotated[int, Field(ge=0, le=MAX_COUNT), Whole]
UNIQUE = {"uniqueItems": True}


def relative_path(path: str) -> str:
    """`path` itself if it names a file inside a folder on every platform, else a ValueError that says why not."""
    if not path:
        raise ValueError("must not be empty")
    if "\\" in path:
        raise ValueError("must not hold '\\': part folders by '/', and rename a file that has it in its name")
    if path.startswith("/") or path[1:2] == ":":
        raise ValueError("must be a relative path with '/' between its parts, such as 'week1/video1.mp4'")
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        raise ValueError("must not hold control characters: rename it")
    if not NOT_IN_XML.isdisjoint(path):
        raise ValueError("must not hold U+FFFE or U+FFFF, which are no characters")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("must not hold empty parts, '.' or '..'")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise ValueError(f"must not be longer than {MAX_PATH_BYTES} bytes")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in path.split("/")):
        raise ValueError(f"must not hold a name longer than {MAX_NAME_BYTES} bytes: shorten it")
    return path


# The same as a pattern, for those who check before they send.
NAME_PATTERN = rf"(?!\.\.?(?:/|$))[^/\\\x00-\x1f\x7f\ufffe\uffff]{{1,{MAX_NAME_BYTES}}}"
RelativePath = Annotated[
    str,
    AfterValidator(relative_path),
    WithJsonSchema(
        {"type": "string", "maxLength": MAX_PATH_BYTES, "pattern": f"^(?!.:){NAME_PATTERN}(?:/{NAME_PATTERN})*$"}
    ),
]


def known_language(code: str) -> str:
    if code != languages.AUTO and code not in languages.CODES:
        raise ValueError("must be 'auto' or the code of a language that Whisper knows, such as 'en'")
    return code


Language = Annotated[
    str,
    AfterValidator(known_language),
    WithJsonSchema({"type": "string", "enum": [languages.AUTO, *sorted(languages.CODES)]}),
]
