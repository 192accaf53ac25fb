// The suffixes of media files: those of chalicelib/suffixes.py.

const SUFFIXES = new Set(
  `
3ga aa aac aax ac3 adts aif aifc aiff alac amr ape au awb caf dff dsf dss dts eac3 flac gsm m4a m4b m4p m4r mka mlp
mp1 mp2 mp3 mpa mpc mpga oga ogg opus qcp ra snd spx tak tta voc w64 wav weba wma wv
3g2 3gp 3gpp amv asf avi divx dv dvr-ms f4v flv m2p m2t m2ts m4v mk3d mkv mod mov mp4 mpe mpeg mpg
mpv mts mxf nsv nut ogm ogv ogx ps qt rm rmvb swf tod trp ts vob vro webm wm wmv wtv
`
    .trim()
    .split(/\s+/),
);

/** Whether a file in a dropped folder is one to transcribe: it has a media suffix and is not hidden. */
export function isMedia(name: string): boolean {
  return !name.startsWith(".") && SUFFIXES.has(name.slice(name.lastIndexOf(".") + 1).toLowerCase());
}
