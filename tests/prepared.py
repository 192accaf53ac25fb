"""Transcripts that no recogniser has to make, and jobs that have them from the start."""

import json
from pathlib import Path
from typing import Any

import httpx

from chalicelib import formats, indexing, keys
from chalicelib import versions as stored
from chalicelib.jobs import FileState, JobState
from chalicelib.transcript import Segment, Transcript, Word
from tests.finishing import Bench
from tests.serving import client


def said(*passages: str, speakers: tuple[str, ...] = (), seconds: float = 0.5) -> Transcript:
    """A transcript of these passages, a word every so many seconds; one that ends with `?` is uncertain."""
    segments, at = [], 0.0
    for number, passage in enumerate(passages):
        words = []
        for text in passage.split():
            probability = 0.2 if text.endswith("?") else 0.9
            words.append(Word(start=at, end=at + 0.8 * seconds, text=text, probability=probability))
            at += seconds
        speaker = speakers[number] if speakers else None
        times = {"start": words[0].start, "end": words[-1].end}
        segments.append(Segment(**times, text=passage, words=words, speaker=speaker))
    return Transcript(language="en", model="tiny.en", task="transcribe", duration=at, segments=segments)


def job(bench: Bench, path: str, media: Path, transcript: Transcript, **request: Any) -> str:
    """A finished job of Ann's: `media` as `path`, transcribed as told."""
    with client(bench.url, bench.token) as http:
        files = [{"path": path, "size": media.stat().st_size}]
        bench.finisher.hold.set()
        created = http.post("/jobs", json={"files": files, **request}).raise_for_status().json()
        upload = created["files"][0]["upload"]
        httpx.put(upload["url"], content=media.read_bytes(), headers=upload["headers"]).raise_for_status()
        bench.finisher.hold.clear()
    site = bench.site
    recorded, file = site.records.job(created["id"]), site.records.file(created["id"], 0)
    assert recorded is not None
    assert file is not None
    bench.finisher.held.remove(recorded.id)
    site.objects.put(keys.version(recorded.id, 0, keys.ORIGINAL), transcript.model_dump_json().encode())
    formats.store(site.objects, recorded, file, transcript)
    site.index.put(recorded, 0, indexing.passages(transcript.segments))
    site.records.move_file(file, FileState.SUCCEEDED, {"audio_seconds": transcript.duration, "language": "en"})
    ended = {"state": JobState.SUCCEEDED, "started_at": recorded.created_at, "finished_at": recorded.created_at + 61}
    site.records.change_job(recorded.id, [JobState.QUEUED], ended)
    return recorded.id


def versions(bench: Bench, job: str) -> list[dict[str, Any]]:
    """What is stored of file 0: the original, and what people made of it."""
    ids = stored.known(bench.site.objects, job, 0)
    return [json.loads(bench.site.objects.get(keys.version(job, 0, id))) for id in ids]


def long_transcript(words: int, seconds: float) -> dict[str, Any]:
    each, size = seconds / words, 12
    timed = [
        {"start": i * each, "end": (i + 0.9) * each, "text": f"word{i}", "probability": 0.3 + (i % 8) / 10}
        for i in range(words)
    ]
    groups = [timed[i : i + size] for i in range(0, words, size)]
    segments = [
        {
            "id": i,
            "start": group[0]["start"],
            "end": group[-1]["end"],
            "text": " ".join(str(word["text"]) for word in group),
            "words": group,
        }
        for i, group in enumerate(groups)
    ]
    return {"language": "en", "model": "tiny.en", "task": "transcribe", "duration": seconds, "segments": segments}
