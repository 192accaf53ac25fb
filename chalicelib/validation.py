"""Which field of a request is wrong, and how to put it right."""

from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chalicelib.errors import Problem

FieldError = dict[str, str]

# Our own words for the types of error that requests can have (https://docs.pydantic.dev/latest/errors/validation_errors).
MESSAGES = {
    "missing": "must be given",
    "extra_forbidden": "must be left out: there is no such field",
    "enum": "must be {expected}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold no more than {max_length}, not {actual_length}",
    "string_too_long": "must have no more than {max_length} characters",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "dict_type": "must be an object",
}
SHOWN = 3
Model = TypeVar("Model", bound=BaseModel)


def field_error(field: str, message: str) -> FieldError:
    """`message` goes on after the field's name: "must be …"."""
    return {"field": field, "message": message}


def wrong_fields(*errors: FieldError) -> Problem:
    said = "; ".join(f"{error['field']} {error['message']}" for error in errors[:SHOWN])
    more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"The request is not valid: {said}{more}.", errors)


def parsed(model: type[Model], body: str | bytes) -> Model:
    """What a request says, by the types of JSON: text is no number. Without a body it says nothing. Raises Problem."""
    try:
        return model.model_validate_json(body or b"{}", strict=True)
    except ValidationError as error:
        raise not_valid(error) from None


def not_valid(error: ValidationError) -> Problem:
    """The problem of a body that is not JSON or not what the model says."""
    details = error.errors(include_url=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.")
    return wrong_fields(*(field_error(_path(detail["loc"]), _message(detail)) for detail in details))


def whole_number(text: str) -> int | None:
    """A number of a path or query, `None` if it is none; larger ones than there can be are none as well."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def page_size(limit: str | None, usual: int, most: int) -> int:
    """How many a request asks for at most. Raises Problem."""
    count = usual if limit is None else whole_number(limit)
    if count is None or not 1 <= count <= most:
        raise wrong_fields(field_error("limit", f"must be a number from 1 to {most}"))
    return count


def wrong_cursor() -> Problem:
    return wrong_fields(field_error("cursor", "must be the 'next' of an earlier answer"))


def _path(location: tuple[int | str, ...]) -> str:
    """`("files", 3, "path")` as `files[3].path`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".") or "the body"


def _message(detail: Any) -> str:
    ours = MESSAGES.get(detail["type"])
    if ours is None:
        return str(detail["msg"]).removeprefix("Value error, ")
    return ours.format(**detail.get("ctx", {}))
