"""The suffixes by which media files are told from others."""

from pathlib import PurePosixPath

AUDIO = """
    3ga aa aac aax ac3 adts aif aifc aiff alac amr ape au awb caf dff dsf dss dts eac3 flac gsm m4a m4b m4p m4r mka mlp
    mp1 mp2 mp3 mpa mpc mpga oga ogg opus qcp ra snd spx tak tta voc w64 wav weba wma wv
"""
VIDEO = """
    3g2 3gp 3gpp amv asf avi divx dv dvr-ms f4v flv m2p m2t m2ts m4v mk3d mkv mod mov mp4 mpe mpeg mpg
    mpv mts mxf nsv nut ogm ogv ogx ps qt rm rmvb swf tod trp ts vob vro webm wm wmv wtv
"""
MEDIA = frozenset(f".{suffix}" for suffix in (AUDIO + VIDEO).split())


def is_media(path: str) -> bool:
    """Whether a file of this path, or key, should be transcribed: it has a media suffix and is not hidden."""
    name = PurePosixPath(path).name
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in MEDIA
