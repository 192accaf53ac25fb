"""ffmpeg, fenced in.

The input is an upload, so it is hostile until proven otherwise. ffmpeg may open the one file or URL it is given and
nothing else (protocol whitelist), as a container that holds its own data (format whitelist: no playlists, no
references), with audio decoders only (codec whitelist), within limits of memory, processor time and patience.
"""

import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import imageio_ffmpeg

from container.ffmpeg_log import MediaError

CPU_SECONDS = 3 * 3600
ADDRESS_SPACE = 2 << 30
MAX_ALLOCATION = 256 << 20
NETWORK_TIMEOUT = 30

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv,live_flv,mxf,gxf,rm,dv,nut,wtv,"
    "wav,w64,aiff,caf,au,mp3,aac,flac,ogg,amr,amrnb,amrwb,ac3,eac3,dts,dtshd,truehd,ape,tta,wv,tak,mpc,mpc8,dsf,oma,"
    "voc,loas"
)
"""ffmpeg's demuxers of containers that hold their own data: no playlists, scripts, images or devices."""

DECODERS = (
    "aac,aac_latm,mp1float,mp1,mp2float,mp2,mp3float,mp3,ac3,eac3,opus,libopus,vorbis,libvorbis,flac,alac,als,"
    "wmav1,wmav2,wmapro,wmalossless,wmavoice,amrnb,libopencore_amrnb,amrwb,libopencore_amrwb,dca,truehd,mlp,ape,tta,"
    "wavpack,tak,mpc7,mpc8,cook,sipr,real_144,real_288,ralf,atrac1,atrac3,atrac3plus,speex,gsm,gsm_ms,ilbc,nellymoser,"
    "g722,g726,g726le,g729,qcelp,qdm2,qdmc,mace3,mace6,dvaudio,s302m,truespeech,"
    "dsd_lsbf,dsd_msbf,dsd_lsbf_planar,dsd_msbf_planar,"
    "adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_yamaha,adpcm_swf,adpcm_ct,adpcm_sbpro_2,adpcm_sbpro_3,adpcm_sbpro_4,"
    "pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_s8,pcm_s8_planar,pcm_u8,"
    "pcm_s16be,pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_u16be,pcm_u16le,pcm_s24be,pcm_s24le,pcm_s24le_planar,"
    "pcm_u24be,pcm_u24le,pcm_s24daud,pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_u32be,pcm_u32le,pcm_s64be,pcm_s64le,h264"
)
"""ffmpeg's decoders of audio formats that people still have.

Pictures are not decoded, but for the first few of H.264: without them libavformat does not find out when the video
starts, and takes the start of the sound for the start of the file.
"""


@contextmanager
def ffmpeg(source: str, outputs: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A running ffmpeg, which never outlives the block; when this process is killed, the closed pipe ends it."""
    process = subprocess.Popen(
        _command(source, outputs),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C"},
        process_group=0,  # Ctrl-C in a terminal is not for ffmpeg: it would take it for the end of the file
    )
    try:
        _limit(process.pid)
        yield process
    finally:
        process.kill()
        process.communicate()


def _command(source: str, outputs: list[str]) -> list[str]:
    """ffmpeg's command line: every limit stands before the input that it limits."""
    return [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"),
        *("-max_alloc", str(MAX_ALLOCATION), "-filter_threads", "1", "-threads", "1"),
        *("-filter_complex_threads", "1"),
        *("-format_whitelist", CONTAINERS, "-codec_whitelist", DECODERS, "-max_streams", "100"),
        *("-vn", "-sn", "-dn", *_input(source), *outputs),
    ]


def _input(source: str) -> list[str]:
    scheme = urlsplit(source).scheme if "://" in source else ""
    if scheme not in ("http", "https"):
        _check_file(source)
        return ["-protocol_whitelist", "file", "-i", f"file:{source}"]
    secure = ["-tls_verify", "1", "-ca_file", os.environ.get("SSL_CERT_FILE", certifi.where())]
    return [
        *("-protocol_whitelist", "https,tls,tcp" if scheme == "https" else "http,tcp"),
        *("-rw_timeout", str(NETWORK_TIMEOUT * 1_000_000), "-reconnect", "1", "-reconnect_on_network_error", "1"),
        *("-reconnect_max_retries", "3", "-reconnect_delay_max", "5"),
        *(secure if scheme == "https" else []),
        *("-i", source),
    ]


def _check_file(path: str) -> None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        raise MediaError("gone", "The file is no longer there. Upload it again.") from None
    if not stat.S_ISREG(status.st_mode):
        raise MediaError("not_media", "This is not a file.")
    if status.st_size == 0:
        raise MediaError("empty", "The file is empty. Copy it again from its source, and send it in a new job.")


def _limit(pid: int) -> None:
    """Bound a child's memory and processor time, and forbid it to write files and core dumps."""
    limits = {
        resource.RLIMIT_AS: ADDRESS_SPACE,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        try:
            resource.prlimit(pid, kind, (limit, limit))
        except ProcessLookupError:
            return
