"""Finds the media files to send."""

import errno
import itertools
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from client import text
from client.models import FORMATS, Result, Source

AUDIO = """
    3ga aa aac aax ac3 adts aif aifc aiff alac amr ape au awb caf dff dsf dss dts eac3 flac gsm m4a m4b m4p m4r mka mlp
    mp1 mp2 mp3 mpa mpc mpga oga ogg opus qcp ra snd spx tak tta voc w64 wav weba wma wv
"""
VIDEO = """
    3g2 3gp 3gpp amv asf avi divx dv dvr-ms f4v flv m2p m2t m2ts m4v mk3d mkv mod mov mp4 mpe mpeg mpg
    mpv mts mxf nsv nut ogm ogv ogx ps qt rm rmvb swf tod trp ts vob vro webm wm wmv wtv
"""
SUFFIXES = frozenset(f".{suffix}" for suffix in (AUDIO + VIDEO).split())
# Program texts and others bear these suffixes too, so the first bytes decide.
SHARED = frozenset((".mod", ".mts", ".ps", ".ts"))
MPEG_PACK = b"\0\0\1\xba"
TRANSPORT_SYNC = 0x47
# The server takes this many characters and the slash.
LONGEST_TITLE = 255


@dataclass
class Found:
    """What is to be sent, what can't be, and how many files of the folders are no media."""

    sources: list[Source] = field(default_factory=list)
    unreadable: list[Result] = field(default_factory=list)
    ignored: int = 0


def find(paths: Sequence[Path]) -> Found:
    """The media files among and below `paths`, each once, in a stable order.

    Files below a folder are told by their suffix, and hidden ones are left out; a file named itself is always taken.
    Its path in the tree is relative to the folder, or begins with the folder's name if there are several `paths`.
    """
    found = Found()
    taken: set[str] = set()
    seen: set[str] = set()
    for path in paths:
        if not path.is_dir():
            _add(found, path, _free(path.name, taken), seen, taken)
            continue
        top = _free(path.resolve().name, taken) if len(paths) > 1 else ""
        if top:
            taken.add(top)
        for file in _files(path, found):
            _add(found, file, str(PurePosixPath(top, file.relative_to(path).as_posix())), seen, taken)
    return found


def title(paths: Sequence[Path]) -> str | None:
    """What to call what is found in a folder, if `paths` are one: its name as it is given, with a slash."""
    if len(paths) != 1 or not paths[0].is_dir():
        return None
    name = paths[0].name if paths[0].name not in ("", "..") else paths[0].resolve().name
    return f"{text.printable(name)[:LONGEST_TITLE]}/" if name.strip() else None


def media(folder: Path) -> list[Path]:
    """The media files directly in a folder, except hidden ones; none if it can't be listed."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".") and _is_media(path)]
    except OSError:
        return []


def _add(found: Found, file: Path, path: str, seen: set[str], taken: set[str]) -> None:
    identity = os.path.realpath(file)
    if identity in seen:
        return
    seen.add(identity)
    taken.add(path)
    try:
        path.encode()
        found.sources.append(Source(file, path, readable_size(file)))
    except OSError as error:
        found.unreadable.append(Result(file, f"It can't be read: {text.reason(error)}."))
    except UnicodeEncodeError:
        found.unreadable.append(Result(file, "Its name is not valid UTF-8. Rename it."))


def readable_size(file: Path) -> int:
    """The size in bytes of a file that can be read. Raises OSError."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    with file.open("rb"):
        return status.st_size


def _files(folder: Path, found: Found) -> Iterator[Path]:
    """The media files below a folder. What is there itself comes before what links lead to."""
    walked = [os.path.realpath(folder)]
    links: deque[Path] = deque()
    yield from _real(folder, found, links)
    while links:
        link = links.popleft()
        if not link.is_dir():
            if _counted(link, found):
                yield link
            continue
        target = os.path.realpath(link)
        # A folder that is being walked is not walked again, and a link to a folder around it is a loop.
        if not any(_is_inside(target, other) or _is_inside(other, target) for other in walked):
            walked.append(target)
            yield from _real(link, found, links)


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder


def _real(top: Path, found: Found, links: deque[Path]) -> Iterator[Path]:
    for folder, folders, names in os.walk(top, onerror=lambda error: _unlistable(found, error)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links.extend(Path(folder, name) for name in folders if Path(folder, name).is_symlink())
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and file.is_symlink():
                links.append(file)
            elif not name.startswith(".") and _counted(file, found):
                yield file


def _unlistable(found: Found, error: OSError) -> None:
    found.unreadable.append(Result(Path(os.fsdecode(error.filename)), f"It can't be read: {text.reason(error)}."))


def _counted(file: Path, found: Found) -> bool:
    """Whether a file is media; if not, it is counted as ignored."""
    media = _is_media(file)
    # Transcripts lie beside their sources, and need not be counted as foreign.
    found.ignored += not media and file.suffix.lower().removeprefix(".") not in FORMATS
    return media


def _is_media(file: Path) -> bool:
    suffix = file.suffix.lower()
    return suffix in SUFFIXES and (suffix not in SHARED or _is_mpeg(file))


def _is_mpeg(file: Path) -> bool:
    """Whether a file begins as an MPEG pack or transport stream: packets of 188 bytes, or 192 with a time code."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            head = stream.read(197)
    except OSError:
        return False
    sync = any(len(head) > last and head[first] == head[last] == TRANSPORT_SYNC for first, last in ((0, 188), (4, 196)))
    return sync or head.startswith(MPEG_PACK)


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with a number before its suffix if something at the top of the tree has that name."""
    path = PurePosixPath(name)
    numbered = (f"{path.stem} ({number}){path.suffix}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain((name,), numbered) if candidate not in taken)
