"""What the functions on AWS are told by their environment."""

from collections.abc import Mapping

from chalicelib import prices
from chalicelib.settings import BATCH_SECONDS, Capacity, Settings

Environment = Mapping[str, str]

API = ("MEDIA_BUCKET", "TRANSCRIPTS_BUCKET", "TABLE", "STATE_MACHINE_ARN", "MODELS")
"""The variables that the functions of the API cannot do without."""

DAY_SECONDS = 24 * 3600
# S3 takes more, but nobody's video is longer.
LARGEST_FILE = 5 * 10**12
VCPU_MEGABYTES = 1769
# A cold start, with the loading of a model.
START_SECONDS = 5.0
KINDS = {"english": False, "multilingual": True}
# The kind of the model that tells voices apart, which transcribes nothing.
VOICES = "voices"


class SettingError(Exception):
    """A variable of the environment is missing or wrong."""


def require(environment: Environment, *names: str) -> None:
    """Raises SettingError if a variable is not there or empty."""
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise SettingError(
            f"Not set in the environment: {', '.join(missing)}. On AWS, `make deploy` sets what the stack has made: in "
            ".chalice/config.json for the API, in infrastructure.yaml for the steps. On one machine, start the service "
            "with `transcriber serve`."
        )


def settings(environment: Environment) -> Settings:
    """MODELS names the models in the image and their kinds, as in `tiny.en:english,base:multilingual,speakers:voices`.

    DEFAULT_MODEL is one of those that transcribe, or else the first of them is. Raises SettingError.
    """
    require(environment, "MODELS")
    kinds = _kinds(environment["MODELS"])
    models = {name: KINDS[kind] for name, kind in kinds.items() if kind != VOICES}
    default = environment.get("DEFAULT_MODEL") or next(iter(models), "")
    if default not in models:
        raise SettingError(f"DEFAULT_MODEL is {default!r}, which MODELS does not name: {', '.join(models)}.")
    return Settings(
        models=models,
        default_model=default,
        diarizes=VOICES in kinds.values(),
        largest_file=LARGEST_FILE,
        capacity=_capacity(environment),
    )


def keep_seconds(environment: Environment) -> float | None:
    """How long jobs are kept: RETENTION_DAYS, `None` for ever. Raises SettingError."""
    days = environment.get("RETENTION_DAYS")
    if not days:
        return None
    if not (days.isascii() and days.isdigit()):
        raise SettingError(f"RETENTION_DAYS is {days!r}, and should be a whole number.")
    return DAY_SECONDS * int(days)


def _capacity(environment: Environment) -> Capacity:
    """Of the functions that transcribe; those of the stack's defaults are taken where a variable is not set."""
    memory = int(environment.get("TRANSCRIBE_MEMORY") or 3008)
    architecture = environment.get("ARCHITECTURE") or "x86_64"
    return Capacity(
        workers=int(environment.get("MAX_CONCURRENCY") or 8),
        processors=memory / VCPU_MEGABYTES,
        gigabytes=memory / 1024,
        batch_seconds=float(environment.get("BATCH_SECONDS") or BATCH_SECONDS),
        start_seconds=START_SECONDS,
        gigabyte_second=prices.GIGABYTE_SECOND[architecture],
    )


def _kinds(text: str) -> dict[str, str]:
    kinds = {}
    for entry in text.split(","):
        name, _, kind = entry.strip().partition(":")
        if not name or kind not in (*KINDS, VOICES):
            example = "tiny.en:english,base:multilingual"
            raise SettingError(f"MODELS is {text!r}, and should name models with their kinds, as in {example!r}.")
        kinds[name] = kind
    return kinds
