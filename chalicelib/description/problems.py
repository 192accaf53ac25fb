"""When which errors are answered, each with an example."""

from http import HTTPStatus

from chalicelib import errors
from chalicelib.errors import Problem
from chalicelib.validation import field_error, wrong_fields

PROBLEMS = {
    problem.status: (when, problem)
    for when, problem in (
        ("The body is no JSON.", Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.")),
        ("There is no valid token.", errors.unauthorized()),
        (
            "The month's audio or money of the token is used up.",
            Problem(
                HTTPStatus.PAYMENT_REQUIRED,
                "The token has used 10.00 of its 10 hours of audio of this month. The next month begins on 2026-12-01 "
                "(UTC).",
            ),
        ),
        (
            "The token has not the scope.",
            Problem(HTTPStatus.FORBIDDEN, "The token has not the scope 'write', which this request needs."),
        ),
        ("There is none, or it is another owner's.", errors.not_found("job")),
        (
            "The body was too slow.",
            Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time. Send it again."),
        ),
        (
            "What is there does not allow it.",
            errors.conflict("This file is not transcribed yet. Ask again when its state is 'succeeded'."),
        ),
        (
            "The body is too large.",
            Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body must not be larger than 10000000 bytes."),
        ),
        ("The body is of another media type.", errors.of_status(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)),
        (
            "Something in the request is not as it must be.",
            wrong_fields(field_error("files[0].size", "must be a whole number")),
        ),
        (
            "The token has made too many requests.",
            Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "The token may make 600 requests a minute. Try again in 12 seconds.",
                headers={"Retry-After": "12"},
            ),
        ),
        ("The fault is on our side.", errors.of_status(HTTPStatus.INTERNAL_SERVER_ERROR)),
        (
            "The server is being stopped.",
            Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The server is being stopped. Try again later."),
        ),
        (
            "The transcript took longer than a request may.",
            Problem(
                HTTPStatus.GATEWAY_TIMEOUT,
                "The transcript is not ready yet. Send the same request again to go on waiting, or fetch the result of "
                "the job: GET /jobs/01m81w9vyz7j05s4n1ank6m3za.",
                headers={"Retry-After": "2"},
            ),
        ),
        (
            "There is no room.",
            Problem(
                HTTPStatus.INSUFFICIENT_STORAGE,
                "There is no room for these 100663296 bytes. Send the file again when there is room.",
            ),
        ),
    )
}
