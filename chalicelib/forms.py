"""Bodies that are forms with a file: multipart/form-data (RFC 7578)."""

import io
from dataclasses import dataclass
from http import HTTPStatus

from multipart import MultipartError, MultipartParser, parse_options_header

from chalicelib.errors import Problem

MEDIA = "multipart/form-data"


@dataclass(frozen=True)
class Form:
    """The values of each field, as text; `files` are the files, each with the name that its sender gave it."""

    fields: dict[str, list[str]]
    files: dict[str, tuple[str, bytes]]


def read(content_type: str, body: bytes) -> Form:
    """The form of a body, which is kept in memory. Raises Problem."""
    _, options = parse_options_header(content_type)
    form = Form({}, {})
    try:
        room = {"spool_limit": len(body) + 1, "memory_limit": len(body) + 1}
        for part in MultipartParser(io.BytesIO(body), options.get("boundary", ""), **room):
            if part.filename is None:
                form.fields.setdefault(part.name, []).append(part.raw.decode())
            else:
                form.files[part.name] = part.filename, part.raw
    except (MultipartError, ValueError):
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is not valid {MEDIA}.") from None
    return form
