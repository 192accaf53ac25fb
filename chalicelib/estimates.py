"""What a job will take and cost, told before anything is uploaded."""

import math
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field

from chalicelib import answers, capabilities, prices, speeds
from chalicelib.fields import LONGEST_SECONDS, Count, RelativePath, Request
from chalicelib.jobs import MAX_FILES
from chalicelib.settings import Capacity, Settings
from chalicelib.validation import parsed, wrong_fields

# Bytes of a second of sound: CD quality, half of that where it is packed without loss, 128 kbit/s where with loss.
UNPACKED, LOSSLESS, LOSSY = 176_400, 88_200, 16_000
# 1.5 Mbit/s: a recorded lecture or meeting.
VIDEO = 187_500
RATES = {
    **dict.fromkeys((".wav", ".aif", ".aiff", ".aifc", ".au", ".snd", ".w64", ".caf"), UNPACKED),
    **dict.fromkeys((".flac", ".alac", ".ape", ".tak", ".tta", ".wv"), LOSSLESS),
    **dict.fromkeys((".mp3", ".m4a", ".m4b", ".aac", ".ogg", ".oga", ".opus", ".wma", ".amr", ".mka", ".weba"), LOSSY),
}


class EstimatedFile(Request):
    """A file that is to be uploaded: its size in bytes, and its length if that is known."""

    path: RelativePath
    size: Count
    audio_seconds: Annotated[float, Field(ge=0, le=LONGEST_SECONDS)] | None = None

    @property
    def seconds(self) -> float:
        if self.audio_seconds is not None:
            return self.audio_seconds
        return self.size / RATES.get(PurePosixPath(self.path).suffix.lower(), VIDEO)


class EstimateRequest(Request):
    """The files of a job, and the model that is to transcribe them, if it is not the service's own."""

    files: Annotated[list[EstimatedFile], Field(min_length=1, max_length=MAX_FILES)]
    model: str | None = None


def estimate(settings: Settings, body: str | bytes) -> answers.Estimate:
    """Answers `POST /jobs/estimate`; time and costs are `None` for a model whose speed nobody has told."""
    asked = parsed(EstimateRequest, body)
    model = asked.model or settings.default_model
    if model not in settings.models:
        raise wrong_fields(capabilities.not_installed(settings, "model"))
    lengths = [file.seconds for file in asked.files]
    audio, capacity, speed = sum(lengths), settings.capacity, speeds.processor_seconds(model)
    work: answers.Work = {"seconds": None, "gigabyte_seconds": None, "processor_seconds": None, "dollars": None}
    if speed is not None:
        work = _work(lengths, speed, capacity)
    guessed = sum(file.audio_seconds is None for file in asked.files)
    return {
        **work,
        "audio_seconds": round(audio, 3),
        "assumptions": {
            "model": model,
            "speech_share": 1.0,
            "processor_seconds_per_audio_second": speed,
            "speed_is_measured": speeds.is_measured(model),
            "lengths_from_sizes": guessed,
            "bytes_per_second": {"unpacked": UNPACKED, "lossless": LOSSLESS, "lossy": LOSSY, "video": VIDEO},
            "workers": capacity.workers,
            "processors_per_worker": round(capacity.processors, 2),
            "gigabytes_per_worker": round(capacity.gigabytes, 2),
            "start_seconds": capacity.start_seconds,
        },
    }


def _work(lengths: list[float], speed: float, capacity: Capacity) -> answers.Work:
    audio = sum(lengths)
    batch_seconds = speeds.batch_seconds(capacity.batch_seconds, speed, capacity.processors)
    batches = max(1, math.ceil(audio / batch_seconds))
    # All files are prepared before any is recognised; the longest file, or batch, is a lower bound of each phase.
    preparing = speeds.PREPARING * max(max(lengths), audio / capacity.workers)
    longest_batch = min(batch_seconds, audio)
    recognising = speed / capacity.processors * max(longest_batch, audio / min(batches, capacity.workers))
    processor_seconds = audio * (speed + speeds.PREPARING)
    starts = min(batches, capacity.workers) * capacity.start_seconds
    gigabyte_seconds = capacity.gigabytes * (processor_seconds / capacity.processors + starts)
    requests = 3 + 2 * len(lengths) + batches
    dollars = gigabyte_seconds * capacity.gigabyte_second + (
        requests * prices.REQUEST if capacity.gigabyte_second else 0
    )
    return {
        "seconds": round(preparing + recognising + 2 * capacity.start_seconds, 1),
        "gigabyte_seconds": round(gigabyte_seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
        "dollars": round(dollars, 6),
    }
