"""What can go wrong, each said in sentences for a person."""

import re
from collections.abc import Sequence

FILE_FIELD = re.compile(r"files\[(\d+)\]\.?(.*)")


class TranscribeError(Exception):
    """Something that the user can act on; its text says what happened and what to do."""


class Unreachable(TranscribeError):
    """The server, or the store behind it, gave no usable answer."""

    def __init__(self, message: str, after: float = 0) -> None:
        """`after` seconds from now the server wants to be asked again."""
        super().__init__(message)
        self.after = after


class Foreign(TranscribeError):
    """Something answers at the server's address that is no transcription service."""


class NotAuthorized(TranscribeError):
    """The server does not take the token."""


class Refused(TranscribeError):
    """The server says no: `status` is HTTP's, `fields` are the wrong fields of the request, each with what is wrong.

    `again` if the request had been sent before without an answer, and so may have done its work already.
    """

    def __init__(self, status: int, detail: str, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.fields = list(fields)
        self.again = False

    def by_file(self) -> dict[int, str] | None:
        """What is wrong with which file of the request, `None` if it is not (only) files that are wrong."""
        named = [(FILE_FIELD.fullmatch(field), message) for field, message in self.fields]
        wrong = {int(match[1]): f"Its {match[2] or 'entry'} {message}." for match, message in named if match}
        return wrong if named and all(match for match, _ in named) else None


class SourceLost(TranscribeError):
    """A local file can't be read (any more) as it was when its job was created."""


class Stopped(Exception):
    """The work was given up on request."""
