"""Real files, made by ffmpeg for the test, through the real ffmpeg."""

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from container import media
from container.media import BLOCK, RATE, Findings, MediaError, decode

TONE = ["-f", "lavfi", "-i", "sine=frequency=440:duration=4"]
PICTURE = ["-f", "lavfi", "-i", "testsrc=duration=6:size=160x120:rate=25"]
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast"]
NOT_MEDIA = "This is not an audio or video file that can be read."


def make(path: Path, *arguments: str) -> Path:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-bitexact", *arguments, f"file:{path}"]
    subprocess.run(command, check=True)
    return path


def sound(source: Path | str, findings: Findings | None = None, track: int | None = None) -> NDArray[np.int16]:
    return np.concatenate([np.zeros(0, np.int16), *decode(str(source), findings, track)])


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def loudness(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Of each tenth of a second, with a silent one after the last."""
    tenths = np.append(samples, np.zeros(RATE // 5, np.int16))[: (len(samples) // (RATE // 10) + 2) * (RATE // 10)]
    means: NDArray[np.float64] = np.abs(tenths.reshape(-1, RATE // 10).astype(np.float64)).mean(axis=1)
    return means


def audible(samples: NDArray[np.int16]) -> tuple[float, float]:
    loud = np.flatnonzero(np.abs(samples) > 100)
    return float(loud[0] / RATE), float(loud[-1] / RATE)


def failure(source: Path | str) -> MediaError:
    with pytest.raises(MediaError) as error:
        sound(source)
    return error.value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def video(folder: Path) -> Path:
    return make(folder / "video.mp4", *PICTURE, *TONE, *H264, "-c:a", "aac", "-shortest")


@pytest.fixture(scope="module")
def wav(folder: Path) -> Path:
    return make(folder / "tone.wav", *TONE, "-ar", "16000")


class TestWhatCanBeRead:
    @pytest.mark.parametrize(
        "suffix", "mp4 mov m4a mkv webm avi ts mpg flv mp3 aac ogg opus flac wav aiff w64 caf au wma".split()
    )
    def test_containers(self, folder: Path, suffix: str) -> None:
        samples = sound(make(folder / f"tone.{suffix}", *TONE))
        assert len(samples) / RATE == pytest.approx(4, abs=0.12)
        assert audible(samples) == pytest.approx((0, 4), abs=0.12)

    def test_blocks_are_equally_long_and_exact(self, folder: Path) -> None:
        path = make(folder / "minute.wav", "-f", "lavfi", "-i", "sine=duration=70", "-ar", "16000")
        blocks = list(decode(str(path)))
        assert [len(block) for block in blocks] == [BLOCK, BLOCK, 10 * RATE]
        data = np.frombuffer(path.read_bytes()[-70 * RATE * 2 :], np.int16)
        assert np.array_equal(np.concatenate(blocks), data)

    @pytest.mark.parametrize(
        "name", ["a b", 'it\'s "x"', "100%d", "#1", "😀", "日本語", "-i", "a:b", "concat:x|y", "http:", "%2F", "a\\b"]
    )
    def test_names(self, tmp_path: Path, wav: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path(name).write_bytes(wav.read_bytes())
        assert len(sound(name)) == 4 * RATE

    def test_the_default_track_is_taken(self, folder: Path, wav: Path) -> None:
        silent = ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=4"]
        maps = [*H264, "-map", "0", "-map", "1", "-map", "2", "-disposition:a:0", "0", "-disposition:a:1", "default"]
        path = make(folder / "tracks.mkv", *PICTURE, *silent, "-i", str(wav), *maps)
        findings = Findings()
        assert audible(sound(path, findings)) == pytest.approx((0, 4), abs=0.05)
        assert findings == Findings(warnings=[], tracks=2, track=1)

    def test_a_track_by_its_number(self, folder: Path, wav: Path) -> None:
        silent = ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=4"]
        path = make(folder / "two.mkv", *silent, "-i", str(wav), "-map", "0", "-map", "1", "-c:a", "pcm_s16le")
        findings = Findings()
        assert np.array_equal(sound(path, findings, track=1), sound(wav))
        assert findings == Findings(warnings=[], tracks=2, track=1)
        assert not np.any(sound(path, findings, track=0))
        assert findings == Findings(warnings=[], tracks=2, track=0)

    def test_a_track_that_two_programs_share_is_one(self, folder: Path) -> None:
        programs = ["-map", "0", "-program", "title=a:st=0", "-program", "title=b:st=0"]
        findings = Findings()
        sound(make(folder / "programs.ts", *TONE, *programs), findings)
        assert findings == Findings(warnings=[], tracks=1, track=0)

    def test_a_track_shorter_than_the_others_is_whole(self, folder: Path) -> None:
        longer = ["-f", "lavfi", "-i", "sine=duration=20"]
        path = make(folder / "lengths.mka", *TONE, *longer, "-map", "0", "-map", "1", "-c:a", "pcm_s16le")
        findings = Findings()
        assert len(sound(path, findings, track=0)) / RATE == pytest.approx(4, abs=0.1)
        assert findings == Findings(warnings=[], tracks=2, track=0)

    def test_many_chapters_do_not_hide_the_tracks(self, folder: Path) -> None:
        chapters = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={0}\nEND={1}\ntitle=Chapter {0}\n"
        (folder / "chapters.txt").write_text(";FFMETADATA1\n" + "".join(chapters.format(n, n + 1) for n in range(3000)))
        maps = ["-i", str(folder / "chapters.txt"), "-map", "0", "-map", "0", "-map_chapters", "1"]
        findings = Findings()
        sound(make(folder / "chapters.mka", *TONE, *maps, "-c:a", "pcm_s16le"), findings)
        assert findings == Findings(warnings=[], tracks=2, track=0)

    @pytest.mark.parametrize(
        ("channels", "expected"),
        [("c0=c0|c1=c0", 1.0), ("c0=c0|c1=0*c0", 0.5), ("c0=c0|c1=-1*c0", 1.0), ("c0=0.8*c0|c1=-1*c0", 0.9)],
        ids=["same", "left", "inverted", "nearly inverted"],
    )
    def test_channels_do_not_cancel_each_other(self, folder: Path, wav: Path, channels: str, expected: float) -> None:
        path = make(folder / "stereo.wav", "-i", str(wav), "-af", f"pan=stereo|{channels}")
        assert np.allclose(np.abs(sound(path)), np.abs(expected * sound(wav)), atol=2)

    def test_loud_channels_that_are_inverted(self, folder: Path) -> None:
        """Half of their difference is one more than 16 bits have."""
        turned = np.tile(np.array([[32767, -32768], [-32768, 32767]], "<i2"), (RATE, 1))
        (folder / "loud.raw").write_bytes(turned.tobytes())
        path = make(folder / "loud.wav", "-f", "s16le", "-ar", str(RATE), "-ac", "2", "-i", str(folder / "loud.raw"))
        assert np.array_equal(sound(path), np.tile(np.array([32767, -32768], np.int16), RATE))

    @pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
    @pytest.mark.parametrize(("channel", "share"), [("FC", 0.293), ("FL", 0.207), ("BR", 0.146), ("LFE", 0.0)])
    def test_six_channels_are_mixed_by_their_places(
        self, folder: Path, wav: Path, codec: str, channel: str, share: float
    ) -> None:
        """As ITU-R BS.775 has it for stereo, and never so that they clip together."""
        path = make(folder / "six.wav", "-i", str(wav), "-af", f"pan=5.1|{channel}=c0", "-c:a", codec)
        assert np.allclose(sound(path), share * sound(wav), atol=12)

    @pytest.mark.parametrize("channels", [9, 11, 18, 32])
    def test_channels_whose_places_nobody_knows(self, folder: Path, wav: Path, channels: int) -> None:
        places = "|".join(f"c{channel}={(channel + 1) / channels}*c0" for channel in range(channels))
        path = make(folder / "places.wav", "-i", str(wav), "-af", f"pan={channels}C|{places}")
        assert np.allclose(sound(path), (channels + 1) / 2 / channels * sound(wav), atol=2)

    @pytest.mark.parametrize(("layout", "count"), [("ambisonic 1", 4), ("BL+BR", 2)])
    def test_channels_that_are_in_no_usual_places(self, folder: Path, wav: Path, layout: str, count: int) -> None:
        same = "|".join(f"c{channel}=c0" for channel in range(count))
        path = make(folder / "unusual.mka", "-i", str(wav), "-af", f"pan={layout}|{same}", "-c:a", "pcm_s16le")
        assert np.allclose(sound(path), sound(wav), atol=2)


class TestTimeline:
    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "mov"])
    @pytest.mark.parametrize("origin", [0, 100])
    def test_sound_that_starts_after_the_picture(self, folder: Path, suffix: str, origin: int) -> None:
        late = make(folder / "late.mp4", *PICTURE, "-itsoffset", "2", *TONE, *H264, "-c:a", "aac")
        offset = ["-output_ts_offset", str(origin)] if suffix in ("mkv", "ts") else []
        path = make(folder / f"late{origin}.{suffix}", "-i", str(late), "-c", "copy", *offset)
        samples = sound(path)
        assert audible(samples) == pytest.approx((2, 6), abs=0.05)

    def test_webm(self, folder: Path) -> None:
        path = make(folder / "late.webm", *PICTURE, "-itsoffset", "2", *TONE, "-deadline", "realtime")
        assert audible(sound(path)) == pytest.approx((2, 6), abs=0.05)

    def test_ogg(self, folder: Path) -> None:
        codecs = ["-c:v", "libtheora", "-c:a", "libvorbis"]
        path = make(folder / "late.ogg", *PICTURE, "-itsoffset", "2", *TONE, *codecs)
        assert audible(sound(path)) == pytest.approx((2, 6), abs=0.05)

    def test_programs_have_clocks_of_their_own(self, folder: Path) -> None:
        inputs = [*PICTURE, "-itsoffset", "1", *TONE, "-itsoffset", "100", *PICTURE, "-itsoffset", "102", *TONE]
        maps = [*("-map", "0", "-map", "1", "-map", "2", "-map", "3"), "-max_interleave_delta", "0"]
        programs = ["-program", "st=0:st=1", "-program", "st=2:st=3"]
        path = make(folder / "clocks.ts", *inputs, *maps, *H264, "-c:a", "mp2", *programs)
        assert audible(sound(path, track=0)) == pytest.approx((1, 5), abs=0.05)
        assert audible(sound(path, track=1)) == pytest.approx((2, 6), abs=0.05)

    def test_a_gap_is_filled_with_silence(self, folder: Path) -> None:
        path = make(folder / "gap.mkv", *TONE, "-af", "aselect='lt(t,1)+gt(t,3)'", "-c:a", "pcm_s16le")
        samples = np.abs(sound(path))
        assert len(samples) / RATE == pytest.approx(4, abs=0.05)
        assert np.all(samples[int(1.1 * RATE) : int(2.9 * RATE)] == 0)

    @pytest.mark.parametrize("split", [False, True])
    @pytest.mark.parametrize("seconds", [5, 65])
    def test_rate_and_channels_that_change(self, folder: Path, seconds: int, split: bool) -> None:
        """As in a podcast with another's advertisement put into it."""
        bare = ["-write_xing", "0", "-id3v2_version", "0"]
        tone = ["-f", "lavfi", "-i", f"sine=duration={seconds}"]
        one = make(folder / "one.mp3", *tone, "-ar", "44100", "-ac", "1", *bare)
        other = make(folder / "other.mp3", *tone, "-ar", "48000", "-ac", "2", *bare)
        path = joined(folder / "changes.mp3", one, other, one)
        samples = np.concatenate(list(decode(str(path), split=split))).reshape(-1)
        assert len(samples) / RATE == pytest.approx(3 * seconds, abs=0.3)
        assert np.array_equal(samples[: seconds * RATE], sound(one)[: seconds * RATE])
        assert np.all(loudness(samples)[: 3 * seconds * 10] > 100)

    @pytest.mark.parametrize("rates", [(48000, 44100), (22050, 48000)])
    def test_rate_that_changes_where_nothing_has_a_time(self, folder: Path, rates: tuple[int, int]) -> None:
        parts = [make(folder / f"{rate}.aac", *TONE, "-ar", str(rate)) for rate in rates]
        samples = sound(joined(folder / "rates.aac", *parts))
        assert len(samples) / RATE == pytest.approx(8, abs=0.25)
        assert np.all(loudness(samples)[:80] > 100)

    @pytest.mark.parametrize("suffix", ["ts", "mkv"])
    def test_channels_that_change_after_a_late_start_and_a_gap(self, folder: Path, suffix: str) -> None:
        first = make(folder / "first.ts", *PICTURE, "-itsoffset", "2", *TONE, *H264, "-c:a", "ac3", "-ac", "6")
        offset = ["-output_ts_offset", "8"]
        second = make(folder / "second.ts", *PICTURE, *TONE, *H264, "-c:a", "ac3", "-ac", "2", *offset)
        both = joined(folder / "both.ts", first, second)
        loud = loudness(sound(make(folder / f"changed.{suffix}", "-i", str(both), "-c", "copy"))) > 10
        assert np.flatnonzero(np.diff(loud)) / 10 == pytest.approx([2, 6, 8, 12], abs=0.11)

    def test_an_edit_list_that_skips_the_beginning(self, folder: Path) -> None:
        tone = ["-f", "lavfi", "-i", "sine=duration=6,volume='gt(t,4)':eval=frame"]
        whole = make(folder / "whole.mp4", *PICTURE, *tone, *H264, "-c:a", "aac")
        path = make(folder / "cut.mp4", "-ss", "1.5", "-i", str(whole), "-c", "copy")
        assert audible(sound(path))[0] == pytest.approx(2.5, abs=0.05)


class TestWhatCannotBeRead:
    def test_empty(self, folder: Path) -> None:
        path = folder / "empty.mp4"
        path.touch()
        error = failure(path)
        assert (error.code, str(error)) == (
            "empty",
            "The file is empty. Copy it again from its source, and send it in a new job.",
        )

    @pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
    def test_image(self, folder: Path, suffix: str) -> None:
        image = make(folder / f"image.{suffix}", *PICTURE, "-frames:v", "1")
        error = failure(image.rename(folder / f"{suffix}.mp4"))
        assert (error.code, str(error), error.retryable) == ("not_media", NOT_MEDIA, False)

    @pytest.mark.parametrize(
        "content", [b"Hello, world.\n" * 1000, os.urandom(100_000), b"\0"], ids=["text", "noise", "zero"]
    )
    def test_anything_else(self, folder: Path, content: bytes) -> None:
        path = folder / "other.mp4"
        path.write_bytes(content)
        assert failure(path).code == "not_media"

    def test_video_without_sound(self, folder: Path) -> None:
        error = failure(make(folder / "silent.mp4", *PICTURE, *H264))
        assert error.code == "no_audio"
        assert str(error) == "The file has no sound track, so there is nothing to transcribe."

    def test_cut_before_the_index(self, folder: Path, video: Path) -> None:
        path = folder / "cut_before_index.mp4"
        path.write_bytes(video.read_bytes()[:20_000])
        error = failure(path)
        assert error.code == "incomplete"
        assert str(error) == "The file is incomplete: its end is missing. Send it when it is whole."

    def test_gone(self, folder: Path) -> None:
        assert failure(folder / "nowhere.mp4").code == "gone"
        assert failure(folder).code == "not_media"

    @pytest.mark.parametrize("suffix", ["mkv", "mp3", "flac", "wav", "mp4"])
    def test_what_a_truncated_file_still_holds_is_delivered_with_a_warning(self, folder: Path, suffix: str) -> None:
        options = ["-movflags", "+faststart"] if suffix == "mp4" else []
        noise = ["-f", "lavfi", "-i", "anoisesrc=duration=20:r=16000"]
        whole = make(folder / f"whole.{suffix}", *noise, "-ac", "1", *options)
        path = folder / f"half.{suffix}"
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        findings = Findings()
        seconds = len(sound(path, findings)) / RATE
        assert 7 < seconds < 13
        assert findings.warnings == [
            f"The file is damaged or incomplete: only the first {seconds:.0f} seconds of sound could be read."
        ]

    @pytest.mark.parametrize("suffix", ["ogg", "webm"])
    def test_what_ffmpeg_does_not_read_on_is_told(self, folder: Path, suffix: str) -> None:
        """Ogg whose channels change, and a WebM behind another."""
        parts = [make(folder / f"part{n}.{suffix}", *TONE, "-ac", str(n), "-c:a", "libopus") for n in (1, 2)]
        findings = Findings()
        assert len(sound(joined(folder / f"parts.{suffix}", *parts), findings)) / RATE == pytest.approx(4, abs=0.1)
        assert findings.warnings == [media.DAMAGED.format(seconds=4)]

    def test_no_warning_where_nothing_is_wrong(self, video: Path, wav: Path) -> None:
        findings = Findings()
        sound(video, findings)
        sound(wav, findings)
        assert findings == Findings(warnings=[], tracks=1, track=0)

    @pytest.mark.parametrize(
        ("suffix", "codec"),
        [
            ("mkv", ["libx264", "-preset", "ultrafast"]),
            ("webm", ["libvpx", "-deadline", "realtime"]),
            ("webm", ["libvpx-vp9", "-deadline", "realtime"]),
            ("avi", ["mpeg4"]),
            ("ts", ["mpeg2video"]),
        ],
    )
    def test_no_warning_where_the_picture_goes_on(self, folder: Path, suffix: str, codec: list[str]) -> None:
        findings = Findings()
        sound(make(folder / f"on.{suffix}", *PICTURE, *TONE, "-c:v", *codec), findings)
        assert findings.warnings == []

    def test_no_warning_where_the_length_is_a_guess(self, folder: Path) -> None:
        """By the bits of the first seconds, where little is to be heard."""
        noise = ["-f", "lavfi", "-i", "anoisesrc=duration=20,volume='gt(t,10)':eval=frame"]
        findings = Findings()
        sound(make(folder / "guess.mp3", *noise, "-q:a", "2", "-write_xing", "0", "-id3v2_version", "0"), findings)
        assert findings.warnings == []

    def test_no_warning_where_the_clock_starts_late(self, folder: Path) -> None:
        findings = Findings()
        path = make(folder / "clock.webm", *TONE, "-output_ts_offset", "100")
        assert len(sound(path, findings)) / RATE == pytest.approx(4, abs=0.1)
        assert findings.warnings == []

    @pytest.mark.parametrize("suffix", ["mp3", "m4a"])
    @pytest.mark.parametrize("part", [1.0, 0.5])
    def test_a_cover_is_no_video(self, folder: Path, suffix: str, part: float) -> None:
        cover = ["-i", str(make(folder / "cover.png", *PICTURE, "-frames:v", "1")), "-disposition:v:0", "attached_pic"]
        maps = ["-map", "0", "-map", "1", "-c:v", "copy", "-movflags", "+faststart"]
        whole = make(folder / f"cover.{suffix}", "-f", "lavfi", "-i", "sine=duration=20", *cover, *maps).read_bytes()
        path = folder / f"part.{suffix}"
        path.write_bytes(whole[: round(part * len(whole))])
        findings = Findings()
        assert len(sound(path, findings)) / RATE == pytest.approx(20 * part, abs=1.5)
        assert len(findings.warnings) == (part < 1)


class TestHostileInput:
    @pytest.fixture
    def secret(self, folder: Path) -> Path:
        return make(folder / "secret.ts", *TONE)

    @pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ts", ""])
    @pytest.mark.parametrize("kind", ["hls", "concat", "dash", "sdp", "subtitle"])
    def test_references_are_not_followed(self, folder: Path, secret: Path, kind: str, suffix: str) -> None:
        with serving({"/secret.ts": (200, secret.read_bytes())}) as (address, requests):
            for target in (f"file://{secret}", str(secret), f"{address}/secret.ts"):
                path = folder / f"evil{suffix}"
                path.write_text(PLAYLISTS[kind].format(target=target))
                error = failure(path)
                assert (error.code, str(error)) == ("not_media", NOT_MEDIA)
                assert failure(f"{address}/evil{suffix}").code == "gone"
            assert [r for r in requests if r.startswith("/secret")] == []

    @pytest.mark.parametrize(
        "source", ["concat:{0}|{0}", "subfile,,start,0,end,0,,:{0}", "data:audio/wav;base64,AA", "pipe:0"]
    )
    def test_protocols_in_names(self, secret: Path, source: str) -> None:
        assert failure(source.format(secret)).code == "gone"

    @pytest.mark.parametrize("scheme", ["ftp", "rtmp", "tcp", "gopher", "file"])
    def test_other_schemes_are_paths(self, scheme: str) -> None:
        assert failure(f"{scheme}://127.0.0.1/x.mp4").code == "gone"

    def test_redirects_lead_to_no_other_protocol(self, secret: Path) -> None:
        with serving({"/a.ts": (302, f"file://{secret}".encode())}) as (address, _):
            assert failure(f"{address}/a.ts").code == "not_media"

    def test_an_external_track(self, folder: Path, wav: Path) -> None:
        own = make(folder / "own.mov", *TONE, "-ar", "16000", "-c:a", "pcm_s16le")
        path = folder / "external.mov"
        path.write_bytes(with_external_reference(own.read_bytes(), str(wav)))
        assert failure(path).code == "damaged"


class TestOverHTTP:
    def test_the_same_as_from_disk(self, video: Path) -> None:
        with serving({"/v.mp4?X=1%2F2": (200, video.read_bytes())}) as (address, _):
            assert np.array_equal(sound(f"{address}/v.mp4?X=1%2F2"), sound(video))

    @pytest.mark.parametrize(
        ("status", "code", "retryable"),
        [(403, "refused", True), (404, "gone", False), (410, "gone", False), (500, "unreachable", True)],
    )
    def test_refusals(self, status: int, code: str, retryable: bool) -> None:
        with serving({"/x.mp4": (status, b"")}) as (address, _):
            error = failure(f"{address}/x.mp4")
        assert (error.code, error.retryable) == (code, retryable)
        assert "127.0.0.1" not in str(error)

    def test_nobody_answers(self) -> None:
        with serving({}) as (address, _):
            pass
        assert failure(f"{address}/x.mp4").code == "unreachable"

    def test_silence_on_the_line(self, wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(media, "PATIENCE", 1.0)
        with serving({"/x.wav": (0, wav.read_bytes()[:1000])}) as (address, _):
            error = failure(f"{address}/x.wav")
        assert (error.code, error.retryable) == ("stalled", True)


class TestProcesses:
    @pytest.fixture
    def long(self, folder: Path) -> Path:
        return make(folder / "long.wav", "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=900")

    def test_closing_ends_ffmpeg(self, long: Path) -> None:
        before = psutil.Process().children()
        blocks = decode(str(long))
        next(blocks)
        assert len(psutil.Process().children()) == len(before) + 1
        blocks.close()  # type: ignore[attr-defined]
        assert psutil.Process().children() == before

    def test_ffmpeg_dies_with_its_owner(self, long: Path) -> None:
        script = (
            "import sys, time; from container.media import decode\n"
            "blocks = decode(sys.argv[1]); next(blocks); print(1, flush=True); time.sleep(60)"
        )
        owner = subprocess.Popen([sys.executable, "-c", script, str(long)], stdout=subprocess.PIPE)
        assert owner.stdout
        assert owner.stdout.readline() == b"1\n"
        (child,) = psutil.Process(owner.pid).children()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        child.wait(5)
        owner.stdout.close()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:4.0,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": (
        '<?xml version="1.0"?>'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S">'
        '<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL>'
        "<SegmentBase/></Representation></AdaptationSet></Period></MPD>"
    ),
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=audio 5004 RTP/AVP 0\na=control:{target}\n",
    "subtitle": "1\n00:00:00,000 --> 00:00:04,000\n{target}\n",
}


@contextmanager
def serving(answers: dict[str, tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server with ranges; status 0 sends what there is, promises more and falls silent. Yields the requests."""
    requests: list[str] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            requests.append(self.path)
            status, body = answers.get(self.path, (404, b""))
            start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            self.send_response({200: 206, 0: 200}.get(status, status))
            if status == 200:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if 300 <= status < 400:
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Length", str(len(body) - start if status else 1_000_000))
            self.end_headers()
            self.wfile.write(body[start:])
            if not status:
                over.wait()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def with_external_reference(movie: bytes, path: str) -> bytes:
    """The movie with its track's data reference turned into a Mac alias to `path` (QuickTime File Format, `dref`)."""
    location = path.encode()
    record = struct.pack(">2s", (len(location)).to_bytes(2, "big")) + location + b"\0" * (len(location) % 2)
    alias = b"\0" * 10 + bytes(28) + bytes(12) + bytes(64) + bytes(16) + struct.pack(">HH", 0, 0) + bytes(16)
    alias += struct.pack(">H", 2) + record + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    reference = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry

    def rewritten(data: bytes) -> bytes:
        out, at = b"", 0
        while at + 8 <= len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                body = rewritten(body)
            atom = struct.pack(">I4s", 8 + len(body), kind) + body
            out += reference if kind == b"dref" else atom
            at += size
        return out

    return rewritten(movie)
