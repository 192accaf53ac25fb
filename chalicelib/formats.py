"""The formats of transcripts. All are UTF-8, without a byte order mark, with `\\n` after every line."""

import json
from collections.abc import Iterator, Sequence
from html import escape

from chalicelib import keys
from chalicelib.captions import captions
from chalicelib.jobs import Format, Job, MediaFile
from chalicelib.ports import Objects
from chalicelib.transcript import Segment, Transcript
from chalicelib.wording import ends_sentence, joined, tidied

# A paragraph ends at a pause of so many seconds, or with the first sentence after so many characters.
PARAGRAPH_PAUSE = 2.0
PARAGRAPH_CHARACTERS = 800


def store(objects: Objects, job: Job, file: MediaFile, transcript: Transcript) -> None:
    """Writes `transcript` as that of `file` in all formats of the job, the JSON last."""
    for format in sorted(job.options.formats, key="json".__eq__):
        text = render(transcript, format, job.options.word_timestamps)
        objects.put(keys.transcript(job.id, file.output, format), text)


def render(transcript: Transcript, format: Format, word_timestamps: bool = True) -> bytes:
    """`transcript` in `format`. Whether the words and their times are told matters to JSON alone."""
    segments = tidied(transcript.segments)
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
    """Paragraphs, each on one line, with an empty line between them; nothing at all if nothing was said."""
    return "\n".join(f"{joined(paragraph)}\n" for paragraph in paragraphs(segments))


def paragraphs(segments: Sequence[Segment]) -> Iterator[list[str]]:
    """The texts of the segments of each paragraph."""
    paragraph: list[str] = []
    end = 0.0
    for segment in segments:
        long = sum(map(len, paragraph)) >= PARAGRAPH_CHARACTERS and ends_sentence(paragraph[-1], segment.text)
        if paragraph and (long or segment.start - end >= PARAGRAPH_PAUSE):
            yield paragraph
            paragraph = []
        paragraph.append(segment.text)
        end = segment.end
    if paragraph:
        yield paragraph


def srt(segments: Sequence[Segment]) -> str:
    """SubRip. It has no way to quote the `-->` of its time lines, which is therefore written as an arrow."""
    cues = (
        f"{index}\n{clock(caption.start, ',')} --> {clock(caption.end, ',')}\n"
        + "".join(f"{line.replace('-->', '→')}\n" for line in caption.lines)
        for index, caption in enumerate(captions(segments), start=1)
    )
    return "\n".join(cues)


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/)."""
    cues = (
        f"\n{clock(caption.start, '.')} --> {clock(caption.end, '.')}\n"
        + "".join(f"{escape(line, quote=False)}\n" for line in caption.lines)
        for caption in captions(segments)
    )
    return "WEBVTT\n" + "".join(cues)


def tsv(segments: Sequence[Segment]) -> str:
    """Start and end in whole milliseconds and the text of each segment, as OpenAI's `whisper` writes them."""
    rows = (f"{milliseconds(segment.start)}\t{milliseconds(segment.end)}\t{segment.text}\n" for segment in segments)
    return "start\tend\ttext\n" + "".join(rows)


def as_json(transcript: Transcript, segments: Sequence[Segment], word_timestamps: bool) -> str:
    """One JSON object on one line; times are seconds:

        {"language": "en", "language_probability": 0.98, "model": "tiny.en", "task": "transcribe", "duration": 11.0,
         "text": "Ask not what ...",
         "segments": [{"id": 0, "start": 0.32, "end": 2.1, "text": "Ask not what ...",
                       "words": [{"start": 0.32, "end": 0.6, "text": "Ask", "probability": 0.97}, ...]}, ...]}

    `language_probability` is null if the language was given. `words` is left out unless `word_timestamps`.
    """
    about = transcript.model_dump(exclude={"segments"})
    about["duration"] = round(transcript.duration, 3)
    if transcript.language_probability is not None:
        about["language_probability"] = round(transcript.language_probability, 3)
    about["text"] = joined([segment.text for segment in segments])
    about["segments"] = [described(index, segment, word_timestamps) for index, segment in enumerate(segments)]
    return json.dumps(about, ensure_ascii=False) + "\n"


def described(index: int, segment: Segment, word_timestamps: bool) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": index,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
    }
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
