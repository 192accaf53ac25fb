"""Whether this service can do what is asked: with the models that are installed, and files of such sizes."""

from collections.abc import Sequence

from chalicelib import languages
from chalicelib.jobs import Options, Task
from chalicelib.requests import NewFile, NewJob
from chalicelib.settings import Settings
from chalicelib.validation import FieldError, field_error, parsed, wrong_fields

NO_OTHER_LANGUAGES = (
    "whoever runs this service can install others, with 'transcriber models install base' and a new start, on AWS by "
    "'base' in MODELS and 'make deploy'"
)
NO_VOICES = (
    "must be false until whoever runs this service installs the model that tells voices apart: 'transcriber models "
    "install speakers' and a new start, on AWS 'speakers' in MODELS and 'make deploy'"
)


def new_job(settings: Settings, body: str | bytes) -> NewJob:
    """The job that a request asks for, with the service's own model if it names none. Raises Problem."""
    new = parsed(NewJob, body)
    model = new.options.model or settings.default_model
    errors = [
        *_model_errors(settings, new.options, model),
        *_speaker_errors(settings, new.options),
        *size_errors(settings, new.files),
    ]
    if errors:
        raise wrong_fields(*errors)
    return new.model_copy(update={"options": new.options.model_copy(update={"model": model})})


def size_errors(settings: Settings, files: Sequence[NewFile]) -> list[FieldError]:
    limit = settings.largest_file
    return [
        field_error(f"files[{n}].size", f"must not be more than {limit} bytes")
        for n, file in enumerate(files)
        if file.size > limit
    ]


def not_installed(settings: Settings, field: str) -> FieldError:
    """What is wrong with a field that names a model which is not there."""
    return field_error(field, f"must be one of those installed: {', '.join(sorted(settings.models))}")


def _model_errors(settings: Settings, options: Options, model: str) -> list[FieldError]:
    multilingual = settings.models.get(model)
    if multilingual is None:
        return [not_installed(settings, "options.model")]
    if multilingual:
        return []
    others = ", ".join(sorted(name for name, knows_others in settings.models.items() if knows_others))
    advice = f"choose another model ({others})" if others else NO_OTHER_LANGUAGES
    because = f"since the model {model} knows English only: {advice}"
    errors = []
    if options.language not in (languages.AUTO, "en"):
        errors.append(field_error("options.language", f"must be 'en' or 'auto', {because}"))
    if options.task == Task.TRANSLATE:
        errors.append(field_error("options.task", f"must be 'transcribe', {because}"))
    return errors


def _speaker_errors(settings: Settings, options: Options) -> list[FieldError]:
    return [field_error("options.diarize", NO_VOICES)] if options.diarize and not settings.diarizes else []
