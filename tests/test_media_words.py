"""What ffmpeg tells about a file holds the uploader's words: they must not be taken for ffmpeg's own complaints."""

from pathlib import Path

import pytest

from container.media import RATE, Findings, decode
from tests.media_files import ffmpeg

WORDS = [
    "How to fix HTTP error 404",
    "No such file or directory",
    "Connection refused",
    "Input/output error",
    "Truncated, partial file",
    "moov atom not found",
    "[error] matches no streams",
]


@pytest.mark.parametrize("words", WORDS)
def test_titles(tmp_path: Path, jfk: Path, words: str) -> None:
    ffmpeg("-i", jfk, "-metadata", f"title={words}", "-metadata", f"comment={words}", tmp_path / "talk.m4a")
    assert_whole(tmp_path / "talk.m4a")


@pytest.mark.parametrize("words", WORDS)
def test_names(tmp_path: Path, jfk: Path, words: str) -> None:
    path = tmp_path / f"{words.replace('/', '-')}.wav"
    path.symlink_to(jfk)
    assert_whole(path)


def assert_whole(path: Path) -> None:
    findings = Findings()
    assert sum(map(len, decode(str(path), findings))) / RATE == pytest.approx(11, abs=0.1)
    assert findings.warnings == []
