"""What the client finds to send, and where transcripts go."""

import os
import time
from pathlib import Path

import pytest

from chalicelib import suffixes
from client import naming, walking


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(*paths: str, content: bytes = b"media") -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def found(*paths: str) -> dict[str, str]:
    """Path in the tree by local path."""
    return {str(source.local): source.path for source in walking.find([Path(path) for path in paths]).sources}


@pytest.mark.usefixtures("here")
class TestFind:
    def test_media_of_a_folder_relative_to_it(self) -> None:
        fill("talks/b.mp4", "talks/a.MKV", "talks/w1/l1/c.opus", "talks/notes.txt", "talks/slides.pdf", "talks/w1/x.py")
        result = walking.find([Path("talks")])
        assert [(str(source.local), source.path, source.size) for source in result.sources] == [
            ("talks/a.MKV", "a.MKV", 5),
            ("talks/b.mp4", "b.mp4", 5),
            ("talks/w1/l1/c.opus", "w1/l1/c.opus", 5),
        ]
        assert (result.ignored, result.unreadable) == (2, [])  # a text file may be a transcript

    def test_several_paths_keep_the_names_of_folders(self) -> None:
        fill("a/x.mp4", "b/x.mp4", "c.mp3")
        assert found("a", "b", "c.mp3") == {"a/x.mp4": "a/x.mp4", "b/x.mp4": "b/x.mp4", "c.mp3": "c.mp3"}

    def test_the_same_name_twice(self) -> None:
        fill("1/talks/x.mp4", "2/talks/x.mp4", "1/y.mp3", "2/y.mp3")
        assert found("1/talks", "2/talks", "1/y.mp3", "2/y.mp3") == {
            "1/talks/x.mp4": "talks/x.mp4",
            "2/talks/x.mp4": "talks (2)/x.mp4",
            "1/y.mp3": "y.mp3",
            "2/y.mp3": "y (2).mp3",
        }

    def test_a_file_and_a_folder_of_the_same_name(self) -> None:
        fill("1/x/a.mp4", "2/x")
        assert found("2/x", "1/x") == {"2/x": "x", "1/x/a.mp4": "x (2)/a.mp4"}

    def test_the_same_file_twice_is_sent_once(self) -> None:
        fill("a/x.mp4")
        assert found("a", "a/x.mp4", "./a/../a/x.mp4") == {"a/x.mp4": "a/x.mp4"}

    def test_the_current_folder(self) -> None:
        fill("week/x.mp4")
        assert found(".") == {"week/x.mp4": "week/x.mp4"}

    def test_a_named_file_whatever_its_name(self) -> None:
        fill("a/.hidden", "b.xyz")
        assert found("a/.hidden", "b.xyz") == {"a/.hidden": ".hidden", "b.xyz": "b.xyz"}

    def test_hidden_files_and_folders_are_left_out(self) -> None:
        fill("a/.x.mp4", "a/.cache/y.mp4", "a/._z.mp3", "a/v.mp4")
        assert found("a") == {"a/v.mp4": "v.mp4"}

    def test_links(self) -> None:
        """Loops end, what can be had itself is taken so, and what lies elsewhere comes under the link's name."""
        fill("a/real/x.mp4", "elsewhere/y.mp4", "z.mp4")
        Path("a/loop").symlink_to("..", target_is_directory=True)
        Path("a/alias").symlink_to("real", target_is_directory=True)
        Path("a/other").symlink_to("../elsewhere", target_is_directory=True)
        Path("a/again.mp4").symlink_to("real/x.mp4")
        Path("a/far.mp4").symlink_to("../z.mp4")
        Path("elsewhere/back").symlink_to("../a", target_is_directory=True)
        assert found("a") == {
            "a/real/x.mp4": "real/x.mp4",
            "a/far.mp4": "far.mp4",
            "a/other/y.mp4": "other/y.mp4",
        }

    def test_typescript_is_no_transport_stream(self) -> None:
        packet = b"\x47" + bytes(187)
        fill("a/stream.ts", content=2 * packet)
        fill("a/camera.mts", content=2 * (b"time" + packet))
        fill("a/old.mod", content=b"\0\0\1\xba" + bytes(100))
        fill("a/main.ts", "a/G.mts", content=b"G" + b"x" * 300)
        fill("a/go.mod", content=b"module x")
        result = walking.find([Path("a")])
        assert [source.path for source in result.sources] == ["camera.mts", "old.mod", "stream.ts"]
        assert result.ignored == 3

    def test_what_cannot_be_read(self) -> None:
        fill("a/ok.mp4")
        os.mkfifo("a/pipe.mp4")
        os.mkfifo("a/pipe.ts")
        Path("a/broken.mp4").symlink_to("nowhere")
        result = walking.find([Path("a")])
        assert [source.path for source in result.sources] == ["ok.mp4"]
        assert {str(lost.path): lost.error for lost in result.unreadable} == {
            "a/pipe.mp4": "It can't be read: Not a regular file.",
            "a/broken.mp4": "It can't be read: No such file or directory.",
        }

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_what_may_not_be_read(self) -> None:
        fill("a/secret.mp4", "a/closed/x.mp4")
        Path("a/secret.mp4").chmod(0)
        Path("a/closed").chmod(0)
        result = walking.find([Path("a")])
        assert {str(lost.path): lost.error for lost in result.unreadable} == {
            "a/closed": "It can't be read: Permission denied.",
            "a/secret.mp4": "It can't be read: Permission denied.",
        }

    def test_a_name_that_is_no_utf8(self) -> None:
        name = os.fsdecode(b"caf\xe9.mp4")
        fill(f"a/{name}", "a/b.mp4")
        result = walking.find([Path("a")])
        assert [source.path for source in result.sources] == ["b.mp4"]
        assert [(lost.path, lost.error) for lost in result.unreadable] == [
            (Path("a", name), "Its name is not valid UTF-8. Rename it.")
        ]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/talks"], "talks/"),
        (["a/talks/"], "talks/"),
        (["link"], "link/"),
        (["a/talks/.."], "a/"),
        (["a/two\nlines"], "two\\nlines/"),
        (["a/talks/x.mp4"], None),
        (["a", "a/talks"], None),
        (["nowhere"], None),
        (["/"], None),
        ([], None),
    ],
)
def test_what_a_folder_is_called(here: Path, paths: list[str], expected: str | None) -> None:
    fill("a/talks/x.mp4", "a/two\nlines/x.mp4")
    Path("link").symlink_to(here / "a/talks")
    assert walking.title([Path(path) for path in paths]) == expected


def test_the_folder_that_one_is_in_has_a_name_too(here: Path) -> None:
    assert walking.title([Path()]) == f"{here.name}/"


def test_the_suffixes_are_those_of_the_service() -> None:
    """Which repeats them, since the client stands alone."""
    assert walking.SUFFIXES == suffixes.MEDIA


def stems(*paths: str, output: str | None = None) -> list[str]:
    """Where the transcripts of files that are here go."""
    wanted = [(Path(output or "", path), Path(path)) for path in paths]
    return [str(stem) for stem in naming.stems(wanted)]


def fill_later(*paths: str) -> None:
    """When the clock of the file system has moved on."""
    time.sleep(0.02)
    fill(*paths)


@pytest.mark.usefixtures("here")
class TestStems:
    @pytest.mark.parametrize(
        ("paths", "expected"),
        [
            pytest.param(["a/x.mp4"], ["a/x"], id="suffix-replaced"),
            pytest.param(["x.mov", "x.mp4"], ["x.mov", "x.mp4"], id="same-stem"),
            pytest.param(["x.mov", "X.mp4"], ["x.mov", "X.mp4"], id="same-stem-where-case-does-not-matter"),
            pytest.param(["x.mp4.mov", "x.mp4"], ["x.mp4.mov", "x"], id="stem-is-a-name"),
            pytest.param(["x.mp4.mov", "x.mov", "x.mp4"], ["x.mp4.mov", "x.mov", "x.mp4"], id="stem-taken-twice"),
            pytest.param(["a/x.mp4", "b/x.mp4"], ["a/x", "b/x"], id="other-folder"),
            pytest.param(["a/../x.mp4", "x.mov"], ["a/../x.mp4", "x.mov"], id="spelled-otherwise"),
            pytest.param(["notes.txt"], ["notes.txt"], id="never-over-the-source"),
            pytest.param(["x", "x.txt"], ["x (2)", "x.txt"], id="never-over-another-source"),
            pytest.param(["v1.2 talk"], ["v1"], id="odd-suffix"),
            pytest.param([f"{'x' * 251}.mp4"], ["x" * 251], id="longest-name"),
        ],
    )
    def test_nothing_there_yet(self, paths: list[str], expected: list[str]) -> None:
        Path("a").mkdir()
        fill(*paths)
        assert stems(*paths) == expected

    def test_files_that_are_not_here(self) -> None:
        paths = [(Path("out", name), None) for name in ("a.mp4", "w/x.mov", "w/x.mp4")]
        assert list(map(str, naming.stems(paths))) == ["out/a", "out/w/x.mov", "out/w/x.mp4"]

    def test_what_else_is_sent_makes_no_difference(self) -> None:
        fill("in/x.mov", "in/x.mp4", "in/x.pdf", "in/.x.mp3", "in/y.mp4")
        assert [*stems("in/x.mp4"), *stems("in/x.mov"), *stems("in/y.mp4")] == ["in/x.mp4", "in/x.mov", "in/y"]
        assert stems("in/x.mp4", output="out") == ["out/in/x.mp4"]

    @pytest.mark.parametrize("output", ["", "out/"])
    def test_a_neighbour_that_came_later(self, output: str) -> None:
        fill("x.mp3")
        fill_later(f"{output}x.txt")
        fill_later("x.aac")
        os.utime("x.aac", (0, 0))  # as of a copy that keeps the time of the original
        assert stems("x.mp3", "x.aac", output=output) == [f"{output}x", f"{output}x.aac"]
        fill_later(f"{output}x.srt", f"{output}x.aac.txt")
        assert stems("x.aac", "x.mp3", output=output) == [f"{output}x.aac", f"{output}x"]

    def test_a_suffix_added(self) -> None:
        fill("x.mp4.mov")
        fill_later("x.mp4.txt")
        fill_later("x.mp4")
        assert stems("x.mp4.mov", "x.mp4") == ["x.mp4", "x"]

    def test_a_neighbour_without_suffix(self) -> None:
        fill("x.mp4")
        fill_later("x.srt")
        fill_later("x")
        assert stems("x", "x.mp4") == ["x (2)", "x"]

    def test_a_transcript_that_may_be_of_either(self) -> None:
        fill("x.aac", "x.mp3")
        fill_later("x.txt")
        assert stems("x.aac", "x.mp3") == ["x.aac", "x.mp3"]

    def test_a_transcript_older_than_both(self) -> None:
        fill("x.txt")
        fill_later("x.aac", "x.mp3")
        assert stems("x.aac", "x.mp3") == ["x.aac", "x.mp3"]

    def test_a_neighbour_that_went_away(self) -> None:
        fill("x.aac", "x.mp3.vtt", "x.mp3", "x.txt")
        Path("x.aac").unlink()
        assert stems("x.mp3") == ["x.mp3"]

    def test_notes_of_other_programs(self) -> None:
        fill("x.mp4", "x.mp4.json")
        assert stems("x.mp4") == ["x"]
