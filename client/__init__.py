"""A client of the transcription service: `Client` for programs, `transcribe` (in `client.cli`) for people."""

from client.api import Client
from client.errors import Foreign, NotAuthorized, Refused, SourceLost, Stopped, TranscribeError, Unreachable
from client.models import Estimate, File, Job, Options, Result, Source, Summary, Upload
from client.watching import Watcher

__all__ = [
    "Client",
    "Estimate",
    "File",
    "Foreign",
    "Job",
    "NotAuthorized",
    "Options",
    "Refused",
    "Result",
    "Source",
    "SourceLost",
    "Stopped",
    "Summary",
    "TranscribeError",
    "Unreachable",
    "Upload",
    "Watcher",
]
