"""The formats of transcripts. All are UTF-8, without a byte order mark, with `\\n` after every line."""

import json
from collections.abc import Iterator, Sequence
from html import escape

from chalicelib import keys
from chalicelib.captions import captions
from chalicelib.jobs import Format, Job, MediaFile
from chalicelib.ports import Objects
from chalicelib.transcript import Segment, Transcript
from chalicelib.wording import ends_sentence, joined

# A paragraph ends at a pause of so many seconds, or with the first sentence after so many characters.
PARAGRAPH_PAUSE = 2.0
PARAGRAPH_CHARACTERS = 800


def store(objects: Objects, job: Job, file: MediaFile, transcript: Transcript) -> None:
    """Writes `transcript` as that of `file` in all formats of the job, the JSON last."""
    # Rendering takes long, and whoever is killed while at it has written nothing.
    texts = {format: render(transcript, format, job.options.word_timestamps) for format in job.options.formats}
    for format, text in sorted(texts.items(), key=lambda item: item[0] == Format.JSON):
        objects.put(keys.transcript(job.id, file.output, format), text)


def render(transcript: Transcript, format: Format, word_timestamps: bool = True) -> bytes:
    """`transcript`, which is tidy, in `format`. Whether the words and their times are told matters to JSON alone."""
    segments = transcript.segments
    match format:
        case Format.TXT:
            text = txt(segments)
        case Format.SRT:
            text = srt(segments)
        case Format.VTT:
            text = vtt(segments)
        case Format.TSV:
            text = tsv(segments)
        case Format.JSON:
            text = as_json(transcript, segments, word_timestamps)
    return text.encode()


def txt(segments: Sequence[Segment]) -> str:
    """Paragraphs, each on one line after its speaker's name, with an empty line between them."""
    return "\n".join(f"{label(speaker)}{joined(texts)}\n" for speaker, texts in paragraphs(segments))


def label(speaker: str | None) -> str:
    return "" if speaker is None else f"{speaker}: "


def paragraphs(segments: Sequence[Segment]) -> Iterator[tuple[str | None, list[str]]]:
    """Who says each paragraph, and the texts of its segments."""
    texts: list[str] = []
    speaker, end = None, 0.0
    for segment in segments:
        long = sum(map(len, texts)) >= PARAGRAPH_CHARACTERS and ends_sentence(texts[-1], segment.text)
        if texts and (long or segment.start - end >= PARAGRAPH_PAUSE or segment.speaker != speaker):
            yield speaker, texts
            texts = []
        texts.append(segment.text)
        speaker, end = segment.speaker, segment.end
    if texts:
        yield speaker, texts


def srt(segments: Sequence[Segment]) -> str:
    """SubRip, with the name of each speaker before what follows another's.

    It has no way to quote the `-->` of its time lines, which is therefore written as an arrow.
    """
    cues = (
        f"{index}\n{clock(caption.start, ',')} --> {clock(caption.end, ',')}\n"
        + "".join(f"{line.replace('-->', '→')}\n" for line in caption.lines)
        for index, caption in enumerate(captions(segments, labelled=True), start=1)
    )
    return "\n".join(cues)


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/)."""
    cues = (
        f"\n{clock(caption.start, '.')} --> {clock(caption.end, '.')}\n"
        + voice(caption.speaker)
        + "".join(f"{escape(line, quote=False)}\n" for line in caption.lines)
        for caption in captions(segments)
    )
    return "WEBVTT\n" + "".join(cues)


def voice(speaker: str | None) -> str:
    """WebVTT's tag of who says a cue."""
    return "" if speaker is None else f"<v {escape(speaker, quote=False)}>"


def tsv(segments: Sequence[Segment]) -> str:
    """Start and end in whole milliseconds and the text of each segment, as OpenAI's `whisper` writes them.

    If any speaker is known, there is a last column for them.
    """
    rows = [[str(milliseconds(segment.start)), str(milliseconds(segment.end)), segment.text] for segment in segments]
    header = ["start", "end", "text"]
    if names_speakers(segments):
        header.append("speaker")
        rows = [[*row, segment.speaker or ""] for row, segment in zip(rows, segments, strict=True)]
    return "".join("\t".join(row) + "\n" for row in [header, *rows])


def names_speakers(segments: Sequence[Segment]) -> bool:
    return any(segment.speaker is not None for segment in segments)


def as_json(transcript: Transcript, segments: Sequence[Segment], word_timestamps: bool) -> str:
    """One JSON object on one line; times are seconds:

        {"language": "en", "language_probability": 0.98, "model": "tiny.en", "task": "transcribe", "duration": 11.0,
         "text": "Ask not what ...",
         "segments": [{"id": 0, "start": 0.32, "end": 2.1, "text": "Ask not what ...",
                       "words": [{"start": 0.32, "end": 0.6, "text": "Ask", "probability": 0.97}, ...]}, ...]}

    `language_probability` is null if the language was given. `words` is left out unless `word_timestamps`. If any
    speaker is known, each segment has a `speaker`, null where it is not known.
    """
    about = transcript.model_dump(exclude={"segments"})
    about["duration"] = round(transcript.duration, 3)
    if transcript.language_probability is not None:
        about["language_probability"] = round(transcript.language_probability, 3)
    about["text"] = joined([segment.text for segment in segments])
    speakers = names_speakers(segments)
    about["segments"] = [described(index, segment, word_timestamps, speakers) for index, segment in enumerate(segments)]
    return json.dumps(about, ensure_ascii=False) + "\n"


def described(index: int, segment: Segment, word_timestamps: bool, speakers: bool) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": index,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
    }
    if speakers:
        fields["speaker"] = segment.speaker
    if word_timestamps:
        fields["words"] = [
            {
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "text": word.text,
                "probability": round(word.probability, 3),
            }
            for word in segment.words
        ]
    return fields


def clock(seconds: float, point: str) -> str:
    """`01:02:03,456`, or with another decimal point; the hours may have more digits."""
    minutes, rest = divmod(milliseconds(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
