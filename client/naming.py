"""Names where the transcripts of files go."""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path, PurePath

from client.models import FORMATS
from client.walking import media

# What tells that a name is in use. Other programs write `talk.mp4.json` about talk.mp4, so JSON does not.
TELLING = tuple(format for format in FORMATS if format != "json")


def transcript(stem: Path, format: str) -> Path:
    return stem.with_name(f"{stem.name}.{format}")


def stems(wanted: Iterable[tuple[Path, Path | None]]) -> list[Path]:
    """Where the transcripts of files go, without suffix: for each the path it has there, and the file if it is here.

    `talk.mp3` becomes `talk`; but where another media file of its folder is a `talk` too, each of them keeps its whole
    name, `talk.mp3`. Transcripts that are there already stay with their file: those under its whole name do, and those
    called `talk` do if just one of the files was there before them. So a file's names do not depend on what is sent
    along with it or came later, and none gets the transcripts of another. Nor does a transcript replace a source.
    """
    wanted = list(wanted)
    occupied = frozenset(_place(local) for _, local in wanted if local)
    files: defaultdict[Path, dict[str, Path | None]] = defaultdict(dict)
    for path, local in wanted:
        files[_real(path.parent)][path.name] = local
    for folder, source in {(_real(path.parent), local.parent) for path, local in wanted if local}:
        for file in media(source):
            files[folder].setdefault(file.name, file)
    folders = {path: _Folder(path, names, occupied) for path, names in files.items()}
    return [path.with_name(folders[_real(path.parent)].stem(path.name)) for path, _ in wanted]


@dataclass(frozen=True)
class _Folder:
    """A folder of transcripts, and by their names the files that may have theirs there."""

    path: Path
    files: Mapping[str, Path | None]
    occupied: frozenset[Path]

    def stem(self, name: str) -> str:
        """What the transcripts of file `name` are called."""
        short = PurePath(name).stem
        whole_first = short != name and self._since(name) is not None
        for stem in (name, short) if whole_first else (short, name):
            if self._owner(stem) == name:
                return stem
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        return next(stem for stem in numbered if not self._claimants(stem) and not self._is_occupied(stem))

    def _owner(self, stem: str) -> str | None:
        """The file whose transcripts are called so, or may be; `None` if that can't be told."""
        claimants = self._claimants(stem)
        if self._is_occupied(stem):
            return None
        since = self._since(stem)
        if len(claimants) > 1 and since is not None:
            claimants = [name for name in claimants if _arrival(self.files[name]) < since]
        elif len(claimants) > 1:
            claimants = [name for name in claimants if name == stem]
        return claimants[0] if len(claimants) == 1 else None

    def _claimants(self, stem: str) -> list[str]:
        whole = [stem] if stem in self.files else []
        return whole + [name for name in self._by_stem.get(stem.casefold(), ()) if name != stem]

    @cached_property
    def _by_stem(self) -> Mapping[str, list[str]]:
        """`Talk.txt` and `talk.txt` are one file on some systems, so case does not matter."""
        names = defaultdict(list)
        for name in self.files:
            names[PurePath(name).stem.casefold()].append(name)
        return names

    def _since(self, stem: str) -> float | None:
        """When the first of the transcripts called so was written, in seconds of the epoch; `None` if there is none."""
        paths = [transcript(self.path / stem, format) for format in TELLING]
        return min((path.stat().st_mtime for path in filter(os.path.exists, paths)), default=None)

    def _is_occupied(self, stem: str) -> bool:
        return any(transcript(self.path / stem, format) in self.occupied for format in FORMATS)


def _arrival(file: Path | None) -> float:
    """When a file came to be here as it is; a copy may bear the original's time of modification, but not of change."""
    try:
        statuses = (file.stat(), file.lstat()) if file else ()
    except OSError:
        statuses = ()
    return max((max(status.st_mtime, status.st_ctime) for status in statuses), default=inf)


def _place(file: Path) -> Path:
    """Where a file is, however that is spelled; of a link, where the link is."""
    return _real(file.parent) / file.name


def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder))
