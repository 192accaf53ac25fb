"""Media in, audio out: ffmpeg streams any media file as 16 kHz mono."""

import fcntl
import itertools
import os
import selectors
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from container.fence import ffmpeg
from container.ffmpeg_log import Log
from container.ffmpeg_log import MediaError as MediaError

RATE = 16_000
"""Samples per second of all audio in this package: what Whisper and Silero were trained on."""

BLOCK = 30 * RATE
"""Samples per block that `decode` yields; the last one may be shorter."""

PIPE_BYTES = 1 << 20
"""What ffmpeg may be ahead of its reader: the most that Linux gives any user."""

PATIENCE = 120.0
"""Seconds without a byte of audio after which ffmpeg counts as hung."""

MAX_SECONDS = 100 * 3600
"""Longest audio that is decoded: time stamps are the uploader's, and a gap of years would be filled with silence."""

INTERRUPTED = (255, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)
"""Exit codes of an ffmpeg that was ended from outside: what it decoded until then is not the whole file."""

DAMAGED = "The file is damaged or incomplete: only the first {seconds:.0f} seconds of sound could be read."

CANCELLED = 0.1
"""Power of a mix, relative to that of the channels' difference, below which the mix is not what is to be heard.

In a recording whose channels are inverted to each other (a cable soldered the wrong way) the sum is silence.
"""

FRAMES = "asetnsamples=n=32768:p=0"
"""ffmpeg's filter for longer frames: its threads hand over each, which takes longer than to decode the few samples of
one.
"""

RESAMPLED = f"aresample={RATE}"
"""ffmpeg's filter for our rate."""

GAPLESS = f"{RESAMPLED}:async=1"
"""The same, which fills gaps."""

FROM_ZERO = f"{GAPLESS}:first_pts=0"
"""The same, which fills what is before the first sound as well."""

COUNTED = "asetpts=N/SR/TB"
"""ffmpeg's filter for times that follow from the samples before."""

MIXED = "aformat=channel_layouts=mono|stereo"
"""ffmpeg's filter that makes two channels of more, if it knows where they belong."""

MOST_CHANNELS = 8
"""Channels that can be kept apart."""

AS_AU = ["-map_chapters", "-1", "-c:a", "pcm_s16be", "-f", "au", "pipe:1"]
"""ffmpeg's options for what it gives."""

AU = struct.Struct(">4sIIIII")
"""The header of Sun's audio format: magic, offset of the samples, their size, encoding, rate, channels."""

SAMPLE = 2
"""Bytes of a sample of one channel."""

Samples = NDArray[np.int16]


@dataclass
class Findings:
    """What decoding finds out besides the sound: sentences for the file's owner, and how many sound tracks there are.

    `track` is the number of the one that was decoded, from 0.
    """

    warnings: list[str] = field(default_factory=list)
    tracks: int = 1
    track: int = 0


@dataclass(frozen=True)
class _Filters:
    """Whether ffmpeg mixes channels to two at most, is ready for a rate or channels that change, and goes by times."""

    mixed: bool
    changing: bool = False
    timed: bool = True

    def options(self) -> list[str]:
        """One chain of filters, or two: one that is begun anew at every change, one that hears what comes of it.

        A filter that is begun anew knows nothing of the sound before: it would fill what is already there, and what it
        held back is lost. Between both, sound is encoded and decoded, which takes twice the time.
        """
        mixed = [MIXED] if self.mixed else []
        if not self.changing:
            return ["-af", ",".join([FROM_ZERO, *mixed, FRAMES])]
        first, second = (GAPLESS, FROM_ZERO) if self.timed else (RESAMPLED, f"{COUNTED},{FROM_ZERO}")
        return [
            *("-af", ",".join([first, *mixed]), "-c:a", "pcm_s16le", "-f", "null", "-", "-dec", "0:0"),
            *("-filter_complex", f"[dec:0]{second},{FRAMES}[sound]", "-map", "[sound]"),
        ]


class _Otherwise(Exception):
    """The file is to be decoded anew with other `filters`; what was yielded until now is right."""

    def __init__(self, filters: _Filters) -> None:
        super().__init__()
        self.filters = filters


def decode(
    source: str, findings: Findings | None = None, track: int | None = None, split: bool = False
) -> Iterator[Samples]:
    """Yield the audio of a local path or http(s) URL as int16 blocks of `BLOCK` samples, 16 kHz mono.

    If it is to be `split`, blocks have `BLOCK` rows, with a column for each channel, of which there may be
    `MOST_CHANNELS`.

    Sample 0 is where the media begins: a sound track that starts later, or has gaps, is filled up with silence, so
    that sample n sounds n / RATE seconds into the video. Of several sound tracks the one marked as default is taken,
    then the one with most channels, unless a `track` is named by its number. Channels are mixed, or subtracted where
    they would cancel each other. Memory does not grow with length, and nothing is stored.

    What a damaged file still holds is yielded: half a lecture is worth having. Then a sentence saying so is appended
    to the warnings of `findings`, which are complete after the last block. Raises MediaError when there is
    nothing to have, or the source cannot be read to its end.
    """
    findings, filters, blocks = findings or Findings(), _Filters(mixed=not split), 0
    while True:
        try:
            for block in itertools.islice(_decoded(source, findings, track, split, filters), blocks, None):
                yield block
                blocks += 1
            return
        except _Otherwise as otherwise:
            filters = otherwise.filters


def _decoded(source: str, findings: Findings, track: int | None, split: bool, filters: _Filters) -> Iterator[Samples]:
    """What ffmpeg gives by these filters. Raises _Otherwise where they are not the right ones."""
    log = Log(source)
    total = 0
    chosen = [] if track is None else ["-map", f"0:a:{track}"]
    with ffmpeg(source, [*chosen, *filters.options(), *AS_AU]) as process:
        for channels in _channels(_pcm(process, log, filters), log, split):
            block = channels if split else _one(channels)
            total += len(block)
            if total > MAX_SECONDS * RATE:
                raise MediaError("too_long", f"The sound is longer than {MAX_SECONDS // 3600} hours. Split the file.")
            yield block
        exit_code = process.wait(PATIENCE)
    if exit_code in INTERRUPTED:
        raise MediaError("interrupted", "Reading the file was interrupted.", retryable=True)
    if filters.mixed and not total and log.unmixable():
        raise _Otherwise(replace(filters, mixed=False))
    failure = log.failure(heard=total > 0)
    if failure:
        raise failure
    findings.tracks, findings.track = log.tracks()
    if log.damaged(total / RATE, exit_code):
        findings.warnings.append(DAMAGED.format(seconds=total / RATE))


def _pcm(process: subprocess.Popen[bytes], log: Log, filters: _Filters) -> Iterator[bytes]:
    """The bytes of ffmpeg's standard output."""
    assert process.stdout
    assert process.stderr
    os.set_blocking(process.stderr.fileno(), False)
    with suppress(PermissionError):  # the user has too many pipes of this size
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            selector.register(pipe, selectors.EVENT_READ)
        heard_at = time.monotonic()
        while selector.get_map():
            ready = {key.fd for key, _ in selector.select(1.0)}
            data = os.read(process.stdout.fileno(), PIPE_BYTES) if process.stdout.fileno() in ready else None
            # After the sound, so that all is known that was said before it.
            if not log.drain(process.stderr.fileno()) and process.stderr.fileno() in ready:
                selector.unregister(process.stderr)
            if log.changed and not filters.changing:
                raise _Otherwise(replace(filters, changing=True, timed=log.timed()))
            if data:
                yield data
                heard_at = time.monotonic()
            elif data is not None:
                selector.unregister(process.stdout)
            elif time.monotonic() - heard_at > PATIENCE:
                raise MediaError("stalled", "Reading the file came to a halt.", retryable=True)


def _channels(pieces: Iterator[bytes], log: Log, split: bool) -> Iterator[Samples]:
    """Blocks [n, channels] of an AU file, led in by silence where the sound track starts late."""
    head = b""
    while len(head) < AU.size or len(head) <= AU.unpack_from(head)[1]:
        piece = next(pieces, None)
        if piece is None:
            return
        head += piece
    _, offset, _, _, _, channels = AU.unpack_from(head)
    if split and channels > MOST_CHANNELS:
        raise MediaError(
            "too_many_channels",
            f"The sound has {channels} channels, and at most {MOST_CHANNELS} can be transcribed apart. Transcribe it "
            "with the channels mixed.",
        )
    row, buffer = SAMPLE * channels, bytearray()
    for piece in itertools.chain(_led_in(itertools.chain([head[offset:]], pieces), log, row), [b""]):
        buffer += piece
        while len(buffer) >= row * BLOCK or (not piece and len(buffer) >= row):
            whole = min(len(buffer) // row, BLOCK) * row
            yield np.frombuffer(buffer[:whole], ">i2").reshape(-1, channels).astype(np.int16)
            del buffer[:whole]


def _led_in(pieces: Iterator[bytes], log: Log, row: int) -> Iterator[bytes]:
    first = next(pieces, None)
    if first is None:
        return
    silence = round(min(log.lead_in(), MAX_SECONDS + 1) * RATE)
    for start in range(0, silence, BLOCK):
        yield bytes(row * min(BLOCK, silence - start))
    yield first
    yield from pieces


def as_floats(samples: Samples) -> NDArray[np.float32]:
    """The same from -1 to 1, as networks take them."""
    return samples.astype(np.float32) / np.float32(32768)


def _one(channels: Samples) -> Samples:
    """The only channel, or the mean of several: of two with one turned round if hardly anything would be left."""
    count = channels.shape[1]
    if count == 1:
        return channels[:, 0]
    one: NDArray[np.float32] = channels.mean(axis=1, dtype=np.float32) if count > 2 else _of_two(channels)
    # Half the difference of the largest and the smallest number is rounded to one more than there is.
    whole: Samples = np.rint(one).clip(-32768, 32767).astype(np.int16)
    return whole


def _of_two(channels: Samples) -> NDArray[np.float32]:
    left, right = channels.T.astype(np.float32, order="C") / 2
    mix, difference = left + right, left - right
    one: NDArray[np.float32] = difference if mix @ mix < CANCELLED * (difference @ difference) else mix
    return one
