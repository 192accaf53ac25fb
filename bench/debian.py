"""Files out of Debian's packages, without installing them: recorded speech, music and audiences."""

import shutil
import subprocess
from pathlib import Path

PROMPTS = "asterisk-core-sounds-en-g722"
"""Recorded prompts of one speaker, 16 kHz, CC BY-SA 3.0."""

MUSIC = "asterisk-moh-opsound-g722"
"""18 minutes of music without speech, CC BY-SA."""

AUDIENCES = {
    "freetennis-common": ("usr/share/sounds/freetennis-common/sfx/pubblico.wav",),
    "tuxfootball": (
        "usr/share/games/tuxfootball/sound/crowdcheer.wav",
        "usr/share/games/tuxfootball/sound/crowdboo.wav",
    ),
}
"""Recorded applause, cheers and boos of two games, GPL-2+."""


class NoPackage(Exception):
    """A package cannot be had; the message says what to do."""


def unpacked(package: str, folder: Path) -> Path:
    """The folder with the files of a package, fetched with apt unless it is there. Raises NoPackage."""
    root = folder / package
    if root.is_dir():
        return root
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoPackage(
            f"The sound comes from Debian's package {package}, which needs apt-get and dpkg-deb. On another system "
            f"unpack the package into {root}, or bring sound and texts of your own: make bench AUDIO=folder"
        )
    work = folder / f".fetching-{package}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    fetched = subprocess.run(
        ["apt-get", "download", "-q", package], cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    archives = list(work.glob("*.deb"))
    if fetched.returncode or not archives:
        reason = (fetched.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoPackage(f"apt-get download {package}: {reason} Try 'apt-get update' first, or make bench AUDIO=folder.")
    subprocess.run(["dpkg-deb", "-x", str(archives[0]), str(work / "files")], check=True)
    (work / "files").rename(root)
    shutil.rmtree(work)
    return root
