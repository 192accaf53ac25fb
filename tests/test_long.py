"""Long audio through the whole service: nothing lost or doubled, true times, little overhead, bounded memory."""

import multiprocessing
import re
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import webvtt
from webvtt.models import Timestamp

from bench import preparing
from bench.preparing import PARTS, looped
from chalicelib.transcript import BatchChunk
from container import catalogue, media
from container.cutting import cut
from container.packing import Turn, alike
from container.recogniser import Piece, Recogniser
from container.vad import SpeechDetector
from container.whisper import Whisper
from local.layout import this_machine
from tests.conftest import Figure
from tests.live import Live, live

PHRASES = [
    "and so my fellow americans",
    "ask not what your country can do for you",
    "ask what you can do for your country",
]
MINUTES = 20


class Bare:
    """The recogniser alone on the chunks of a file, with the same processes, its models loaded beforehand."""

    def __init__(self, sound: Path, models: Path) -> None:
        model = catalogue.path("tiny.en", models)
        detector = SpeechDetector(catalogue.path(catalogue.VAD, models))
        blocks = list(media.decode(str(sound)))
        for block in blocks:
            detector.feed(block)
        audio = np.concatenate(blocks).astype(np.float32) / np.float32(32768)
        chunks = cut(detector.finish())
        row = [BatchChunk(file=0, index=index, seconds=chunk.seconds) for index, chunk in enumerate(chunks)]
        self._together = [
            [
                (audio[round(chunk.start * media.RATE) : round(chunk.end * media.RATE)], chunk)
                for chunk in (chunks[turn.chunk.index] for turn in together)
            ]
            for together in alike([Turn(item) for item in row], Whisper.at_once)
        ]

        layout = this_machine(models, "tiny.en")
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(layout.recognisers, context, _load, (model, layout.threads))
        list(self.pool.map(time.sleep, [0.5] * layout.recognisers))

    def seconds(self, half: int) -> float:
        """Wall time of every other group of chunks, from the first (0) or the second (1) on."""
        began = time.monotonic()
        list(self.pool.map(_recognise, self._together[half::2]))
        return time.monotonic() - began


_loaded: list[Recogniser] = []


def _load(model: Path, threads: int) -> None:
    _loaded.append(Recogniser(model, threads))


def _recognise(together: list[Piece]) -> None:
    _loaded[0].transcribe(together)


def poll(service: Live, id: str, stop: threading.Event, seconds: list[float]) -> None:
    with service.http as http:
        while not stop.wait(0.5):  # not so often that asking is what slows the job down
            began = time.perf_counter()
            http.get(f"/jobs/{id}").raise_for_status()
            seconds.append(time.perf_counter() - began)


@pytest.mark.alone
def test_twenty_minutes(tmp_path: Path, models_dir: Path, jfk: Path, figure: Figure) -> None:
    times = looped(jfk, tmp_path / "long.wav", MINUTES)
    latencies: list[float] = []
    recogniser = Bare(tmp_path / "long.wav", models_dir)
    with recogniser.pool, live(tmp_path / "data", models_dir) as service:
        for last in (False, False, True):
            # Half before and half after: a machine that becomes slower meanwhile does so for both. One that others use
            # as well may become so just in between: then there is another pair.
            bare = recogniser.seconds(0)
            id, through_service = timed(service, tmp_path / "long.wav", latencies)
            bare += recogniser.seconds(1)
            figure(f"{MINUTES} minutes: {through_service:.1f} s in the service, {bare:.1f} s in the bare recogniser")
            text, srt = service.transcript(id, 0, "txt"), service.transcript(id, 0, "srt")
            check_sentences(text, len(times) // len(PARTS))
            check_times(srt, times, tmp_path, figure)
            if through_service <= 1.15 * bare + 3:
                break
            assert not last, "too slow in three pairs"
    median = statistics.median(latencies)
    figure(f"GET /jobs/<id> while a job runs: median {1000 * median:.1f} ms of {len(latencies)}")
    assert median < 0.020


def timed(service: Live, sound: Path, latencies: list[float]) -> tuple[str, float]:
    """Sends a job and waits for its end: its id and the seconds it took; somebody asks for it all the time."""
    stop = threading.Event()
    began = time.monotonic()
    id = service.submit({"long.wav": sound})
    poller = threading.Thread(target=poll, args=(service, id, stop, latencies))
    poller.start()
    job = service.wait(id, interval=0.2)
    seconds = time.monotonic() - began
    stop.set()
    poller.join()
    assert job["state"] == "succeeded"
    return id, seconds


def check_sentences(text: str, count: int) -> None:
    spoken = re.sub(r"[^\w\s]", "", text.lower())
    spoken = re.sub(r"\s+", " ", spoken).strip()
    assert {phrase: spoken.count(phrase) for phrase in PHRASES} == dict.fromkeys(PHRASES, count)
    assert spoken == " ".join(" ".join(PHRASES) for _ in range(count))


def seconds(time: Timestamp) -> float:
    return float(time.in_milliseconds()) / 1000


def check_times(srt: str, times: list[tuple[float, float]], folder: Path, figure: Figure) -> None:
    """Each part begins with a cue that starts when it starts, and ends with one that ends when it ends."""
    (folder / "long.srt").write_text(srt)
    captions = webvtt.from_srt(str(folder / "long.srt")).captions
    cues = [(seconds(cue.start_time), seconds(cue.end_time)) for cue in captions]
    starts = [min(abs(start - cue) for cue, _ in cues) for start, _ in times]
    ends = [min(abs(end - cue) for _, cue in cues) for _, end in times]
    figure(f"cue times against the truth: worst start {max(starts):.2f} s, worst end {max(ends):.2f} s")
    assert max(starts) <= 0.3
    assert max(ends) <= 0.3


def test_preparing_takes_little_memory_and_no_copy(tmp_path: Path, models_dir: Path, jfk: Path, figure: Figure) -> None:
    """One hour here; `make bench-preparing` does ten."""
    found = preparing.measure(jfk, models_dir, tmp_path, hours=1)
    figure(f"prepare on 1 hour: {found}")
    assert found.peak < preparing.MOST_MEMORY
    assert found.stored == {"audio.s16", "audio.json"}
