"""The part of the API that clients of OpenAI's use."""

from http import HTTPStatus

from chalicelib import answers
from chalicelib.description import examples
from chalicelib.description.operations import Operation
from chalicelib.description.parameters import CONFLICT, PAYMENT, ok, spoken
from chalicelib.forms import MEDIA
from chalicelib.openai import Transcription, Translation

SMALL = (
    "The answer waits for the transcript. If that takes too long, it is 504, and the same request sent again goes on "
    "with the same job, as the official clients do by themselves. The job is deleted after a day."
)
OF_WAITING = (CONFLICT, PAYMENT, HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.INSUFFICIENT_STORAGE)

OPENAI = (
    Operation(
        "POST /v1/audio/transcriptions",
        "transcribe_audio",
        "Transcribe a small file",
        spoken(),
        about=f"{SMALL} The language is detected unless told.",
        body=Transcription,
        body_media=MEDIA,
        example=examples.FORM,
        problems=OF_WAITING,
    ),
    Operation(
        "POST /v1/audio/translations",
        "translate_audio",
        "Translate a small file into English",
        spoken(),
        about=SMALL,
        body=Translation,
        body_media=MEDIA,
        example=examples.FORM,
        problems=OF_WAITING,
    ),
    Operation(
        "GET /v1/models",
        "list_models",
        "List the models",
        ok(
            "Those that are installed, and `whisper-1` for the service's own.",
            answers.OpenAIModels,
            {
                "object": "list",
                "data": [{"id": "tiny.en", "object": "model", "created": 0, "owned_by": "transcribe"}],
            },
        ),
    ),
)
