"""A first look: a service of its own, a real video, and the command line that people use."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg

from local.calibration import SPEECH

PICTURE = "[0:a]showwaves=s=640x360:mode=cline:scale=cbrt:rate=25:colors=0x4c9be8,format=yuv420p[picture]"


class DemoError(Exception):
    """The service of the demo could not be used; the message says why."""


def speech(folder: Path) -> Path:
    """`jfk.wav`, 11 seconds of speech, 16 kHz mono, made unless it is there."""
    return _made(folder / "jfk.wav", "-c:a", "pcm_s16le")


def video(folder: Path) -> Path:
    """`inaugural.mp4`: the same speech as a video with picture and sound, made unless it is there."""
    encoding = ["-map", "[picture]", "-map", "0:a", "-c:v", "libx264", "-c:a", "aac", "-movflags", "+faststart"]
    return _made(folder / "inaugural.mp4", "-filter_complex", PICTURE, *encoding)


def _made(media: Path, *options: str) -> Path:
    if not media.exists():
        media.parent.mkdir(parents=True, exist_ok=True)
        unfinished = media.with_name(f"unfinished-{os.getpid()}{media.suffix}")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(SPEECH), *options, str(unfinished)]
        subprocess.run(command, check=True)
        unfinished.rename(media)
    return media


def run(media: Path, models: Path, model: str, output: Path) -> int:
    """Transcribes a file or folder through a service that lives as long as this call; the exit code of `transcribe`."""
    with tempfile.TemporaryDirectory(prefix="transcribe-demo-") as data, _service(Path(data), models, model) as service:
        command = [sys.executable, "-m", "client.cli", str(media), "--output", str(output), "--force"]
        return subprocess.run(command, env={**os.environ, **service}).returncode


@contextlib.contextmanager
def _service(data: Path, models: Path, model: str) -> Iterator[dict[str, str]]:
    """`transcriber serve` on a free port; yields the environment that it says to export."""
    options = ["--port", "0", "--data", str(data), "--models", str(models), "--model", model]
    command = [sys.executable, "-m", "local.cli", "serve", *options]
    # A session of its own: Ctrl-C is for the command line, the service then is ended below.
    log = data / "service.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True) as process,
    ):
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2)]
            if not all(lines):
                raise DemoError(f"The service did not start. {log.read_text().strip()}")
            yield dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        finally:
            process.send_signal(signal.SIGTERM)
