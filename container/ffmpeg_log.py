"""What ffmpeg says about a media file on its standard error: what is wrong with it, and what is in it."""

import itertools
import os
import re
from collections.abc import Iterator

_GONE = r"HTTP error (404|410)|Server returned 404|No such file"
_REFUSED = r"HTTP error 4\d\d|Server returned 4\d\d"
_UNREACHABLE = (
    r"HTTP error 5\d\d|Server returned 5|Stream ends prematurely|Connection (refused|reset|timed out)"
    r"|Input/output error|Network is unreachable|Failed to resolve|certificate verify failed"
)

_CUT_OFF = (
    "partial file|ended prematurely|Truncat|corrupt input packet"
    "|Error during demuxing: Not yet implemented|File extends beyond end of segment"
)

_FOREIGN = r"(Format|Protocol .*) not on whitelist|Invalid data found when processing input|Unknown input format"


class MediaError(Exception):
    """A media file that yields no audio: `code` for programs, the message for the person who owns the file.

    `retryable` tells that the same file may well succeed later: the storage did not answer, not the file is bad.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable


class Log:
    """What ffmpeg says on its standard error: first and last lines, and how often it complained."""

    KEPT = 1000

    def __init__(self, source: str) -> None:
        self._source = source
        self._rest = b""
        self._lines: list[str] = []
        self._errors = 0
        self.changed = False
        """Whether the sound's rate or channels changed in the middle."""

    def drain(self, descriptor: int) -> bool:
        """Read what there is; false at the end."""
        while True:
            try:
                data = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            *lines, self._rest = (self._rest[-4096:] + data).split(b"\n")
            for line in lines:
                self._add(line.decode(errors="replace").replace(self._source, "the file")[:1000])

    def _add(self, line: str) -> None:
        # That pictures are not decoded is no fault of the file.
        self._errors += ("[error]" in line or "[fatal]" in line) and "not on whitelist" not in line
        self.changed |= line.startswith("[af#") and "Reconfiguring filter graph" in line
        if len(self._lines) == 2 * self.KEPT:
            del self._lines[self.KEPT]
        self._lines.append(line)

    def _find(self, pattern: str) -> re.Match[str] | None:
        return next((found for line in self._lines if (found := re.search(pattern, line))), None)

    def _complaint(self, pattern: str) -> re.Match[str] | None:
        """Not in what ffmpeg tells about the file, which are the uploader's words."""
        return self._find(rf"\[(?:warning|error|fatal)\].*(?:{pattern})")

    def _inputs(self) -> Iterator[str]:
        """What is told about the file itself."""
        return itertools.takewhile(lambda line: not line.startswith("[info] Output #0"), self._lines)

    def _chosen(self) -> int | None:
        """The number of the stream that is decoded."""
        chosen = self._find(r"^\[info\] +Stream #0:(\d+) -> #0:0 ")
        return int(chosen[1]) if chosen else None

    def lead_in(self) -> float:
        """Seconds between the start of an MPEG or Ogg stream and that of its sound.

        ffmpeg moves such streams, whose clocks start anywhere, so that the first *selected* track starts at zero. Each
        program of a transport stream has a clock of its own; without programs the whole file has one.
        """
        if not self._find(r"^\[info\] Input #0, (mpeg(ts)?|ogg),"):
            return 0.0
        begin = re.compile(r"^\[info\]   (?:Duration|Stream #0:(\d+)\b.*: (?:Audio|Video)): .*, start:? (-?[\d.]+)")
        chosen, starts = self._chosen(), dict[int, float]()
        for line in self._inputs():
            if re.match(r"\[info\]   (No )?Program\b", line):
                if chosen in starts:
                    break
                starts.clear()
            elif found := begin.match(line):
                starts[int(found[1] or -1)] = float(found[2])
        return starts[chosen] - min(starts.values()) if chosen in starts else 0.0

    def tracks(self) -> tuple[int, int]:
        """How many sound tracks the file has, and the number of the one that was decoded, from 0."""
        pattern = re.compile(r"^\[info\] +Stream #0:(\d+)\b.*?: Audio: ")
        # A stream that several programs of a transport stream share is listed with each of them.
        audio = sorted({int(found[1]) for line in self._inputs() if (found := pattern.match(line))})
        chosen = self._chosen()
        return len(audio), audio.index(chosen) if chosen in audio else 0

    def duration(self) -> float | None:
        """Seconds of the whole media as the container states them."""
        stated = self._find(r"^\[info\] +Duration: (\d+):(\d+):(\d+\.\d+), start: (-?[\d.]+)")
        if not stated:
            return None
        seconds = int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3])
        # Matroska states when it ends by its clock, which may start anywhere.
        return seconds - float(stated[4]) if self._find(r"^\[info\] Input #0, matroska") else seconds

    def damaged(self, seconds: float, exit_code: int) -> bool:
        """Whether sound is missing: it is clearly shorter than stated, and not just shorter than what else is there."""
        if exit_code or self._complaint(_CUT_OFF):
            return True
        stated = self.duration() or 0.0
        pictures = self._find(r"^\[info\] +Stream #0:\d+.*: Video: (?!.*\(attached pic\))")
        alone = self.tracks()[0] == 1 and not pictures and not self._complaint("Estimating duration from bitrate")
        return (self._errors > 0 or alone) and seconds < stated - max(1.0, 0.01 * stated)

    def timed(self) -> bool:
        """Whether times are right where the rate changes: bare AAC has none, and ffmpeg goes by its first rate."""
        return not self._find(r"^\[info\] Input #0, aac,")

    def unmixable(self) -> bool:
        """Whether ffmpeg does not know how to mix the channels."""
        return bool(self._complaint("Rematrix is needed|hannel layout '.*' is not supported"))

    def failure(self, *, heard: bool) -> MediaError | None:
        """The error that the log amounts to, if there is one."""
        if self._complaint(_GONE):
            return MediaError("gone", "The file is no longer there. Upload it again.")
        if self._complaint(_REFUSED):
            return MediaError("refused", "The storage refused to hand out the file.", retryable=True)
        if self._complaint(_UNREACHABLE):
            return MediaError("unreachable", "The storage did not deliver the file.", retryable=True)
        if heard:
            return None
        if self._complaint("matches no streams|does not contain any stream"):
            return MediaError("no_audio", "The file has no sound track, so there is nothing to transcribe.")
        if self._complaint("moov atom not found") and not self._complaint("detected only with low score"):
            return MediaError("incomplete", "The file is incomplete: its end is missing. Send it when it is whole.")
        if self._complaint(_FOREIGN):
            return MediaError("not_media", "This is not an audio or video file that can be read.")
        return MediaError("damaged", "The file is damaged: no sound could be read from it.")
