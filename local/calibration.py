"""Which recognisers, with how many threads each, hear most together: measured once on a machine, then kept.

`python -m local.calibration MODEL THREADS` is one of those that are measured side by side. It says how many seconds of
speech it has heard: none when it is ready, then for each line that it is told.
"""

import logging
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from chalicelib.transcript import Chunk, Span
from container import media
from container.catalogue import ModelError
from container.layout import Layout
from container.recogniser import Recogniser

logger = logging.getLogger(__name__)

SPEECH = Path(__file__).with_name("inaugural.flac")
"""A sentence of Kennedy's inaugural address, 11 seconds, in the public domain."""

FILE = "layouts.json"
"""Beside the models."""

MARGIN = 1.1
"""How much quicker fewer recognisers must be: of one layout measured twice, one was up to 1.04 times as quick."""

ROUNDS, PATIENCE = 2, 20.0
"""How often each layout is measured, and seconds after which nothing more is: large models take as long for a round."""

LAYOUTS = TypeAdapter(dict[str, Layout])


def quickest(model: Path, layouts: Sequence[Layout]) -> Layout:
    """The quickest layout for the model of this file, measured unless that was done before.

    They come with most recognisers first. Where fewer are no quicker, fewer still are not tried.
    """
    if len(layouts) == 1:
        return layouts[0]
    file = model.parent / FILE
    known, key = _known(file), _key(model, layouts)
    if known.get(key) in layouts:
        return known[key]
    logger.info("Measuring once how many recognisers are quickest on this machine.")
    began, best, most = time.monotonic(), layouts[0], 0.0
    for layout in layouts:
        if time.monotonic() > began + PATIENCE:
            break
        found = speed(model, layout)
        logger.info("recognisers: %d, threads of each: %d, speed: %.0f", layout.recognisers, layout.threads, found)
        if found > MARGIN * most:
            best, most = layout, found
        elif most:
            break
    if most:
        _keep(file, known | {key: best})
    return best


def speed(model: Path, layout: Layout) -> float:
    """Seconds of speech that are heard in a second; 0 if a recogniser came to an end, for want of memory say."""
    command = [sys.executable, "-m", __name__, str(model), str(layout.threads)]
    fastest, spent = 0.0, 0.0
    try:
        with ExitStack() as stack:
            recognisers = [
                stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
                for _ in range(layout.recognisers)
            ]
            _answers(recognisers)
            for _ in range(ROUNDS):
                began = time.monotonic()
                for recogniser in recognisers:
                    print(file=recogniser.stdin, flush=True)
                heard = _answers(recognisers)
                took = time.monotonic() - began
                fastest, spent = max(fastest, heard / took), spent + took
                if spent > PATIENCE:
                    break
    except (OSError, ValueError):
        return 0.0
    return fastest


def _answers(recognisers: Sequence[subprocess.Popen[str]]) -> float:
    """Seconds of speech that all have heard. Raises ValueError if one has ended."""
    return sum(float(recogniser.stdout.readline()) for recogniser in recognisers if recogniser.stdout)


def _known(file: Path) -> dict[str, Layout]:
    """What was measured; nothing if the file is not there or not as it was written: then it is measured anew."""
    try:
        return LAYOUTS.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return {}


def _keep(file: Path, known: dict[str, Layout]) -> None:
    unfinished = file.with_suffix(f".{os.getpid()}")
    try:
        unfinished.write_bytes(LAYOUTS.dump_json(known, indent=1))
        unfinished.rename(file)
    except OSError as error:
        logger.warning("%s cannot be written (%s), so this is measured at each start.", file, error.strerror)


def _key(model: Path, layouts: Sequence[Layout]) -> str:
    """All that the quickest layout depends on."""
    named = ", ".join(f"{layout.recognisers} x {layout.threads}" for layout in layouts)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "pywhispercpp"))
    return f"{_processor()}; {named}; {model.name}, {model.stat().st_size} bytes; {libraries}"


def _processor() -> str:
    try:
        told = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        told = None
    return told[1] if told else platform.processor() or platform.machine()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, with whose pipe this ends
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    model, threads = sys.argv[1:]
    try:
        recogniser = Recogniser(Path(model), int(threads))
    except ModelError as error:
        sys.exit(str(error))
    sound = media.as_floats(np.concatenate(list(media.decode(str(SPEECH)))))
    end = len(sound) / media.RATE
    piece = sound, Chunk(start=0, end=end, speech=[Span(start=0, end=end)])
    print(0, flush=True)
    for _ in sys.stdin:
        recogniser.transcribe([piece] * recogniser.at_once)
        print(end * recogniser.at_once, flush=True)


if __name__ == "__main__":
    main()
