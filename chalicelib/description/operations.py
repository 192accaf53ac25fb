"""What is said of each route of the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from chalicelib.access import Scope, scope_of

JSON = "application/json"


@dataclass(frozen=True)
class Parameter:
    """`place` is `path`, `query` or `header`; those in the path are required, and others if they are said to be."""

    place: str
    name: str
    about: str
    schema: Mapping[str, Any]
    example: Any
    required: bool = False


@dataclass(frozen=True)
class Answer:
    """An answer that is no error. `kind` is the type of its JSON, instead of which it may be text of `others`.

    Other `media` have no type, nor have empty answers.
    """

    status: HTTPStatus
    about: str
    kind: Any = None
    example: Any = None
    media: str | None = JSON
    headers: Mapping[str, str] | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """`route` is its method and path, `name` that of its view. `problems` are those that not all have (`openapi`)."""

    route: str
    name: str
    summary: str
    answers: tuple[Answer, ...]
    about: str = ""
    body: Any = None
    body_media: str = JSON
    body_required: bool = True
    example: Any = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[HTTPStatus, ...] = ()
    scope: Scope | None = None
    public: bool = False

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def needs(self) -> Scope | None:
        """The scope of the tokens that it takes, `None` if it is for everybody."""
        return None if self.public else self.scope or scope_of(self.method)
