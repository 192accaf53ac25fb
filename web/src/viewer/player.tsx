import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import { t } from "../texts";
import type { Pane } from "./pane";

/** The recording; the transcript in `pane` follows it. */
export function Player(props: {
  job: string;
  n: number;
  captions: string | null;
  language: string;
  player: { current: HTMLVideoElement | null };
  pane: Pane;
  at: number | null;
}) {
  const [source, setSource] = useState<string | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  const [sound, setSound] = useState(false);
  useEffect(() => {
    api.mediaUrl(props.job, props.n).then(setSource, () => setFailed(t.viewer.mediaGone));
  }, []);
  useEffect(() => {
    const video = props.player.current;
    if (!video) return;
    let frame = 0;
    const tick = (): void => {
      props.pane.setTime(video.currentTime);
      if (!video.paused) frame = requestAnimationFrame(tick);
    };
    const moved = (): void => {
      cancelAnimationFrame(frame);
      tick();
    };
    for (const kind of ["play", "seeked", "pause"]) video.addEventListener(kind, moved);
    return () => cancelAnimationFrame(frame);
  }, [source]);
  if (failed) return <p class="hint">{failed}</p>;
  return (
    <video
      ref={props.player}
      class={sound ? "sound" : ""}
      src={source ?? undefined}
      controls
      playsInline
      preload="metadata"
      aria-label={t.viewer.player}
      onLoadedMetadata={(event) => {
        setSound(event.currentTarget.videoWidth === 0);
        if (props.at !== null) event.currentTarget.currentTime = props.at;
      }}
      onError={() => source && setFailed(t.viewer.unplayable)}
    >
      {props.captions && !sound && (
        <track kind="captions" label={t.viewer.captions} srclang={props.language} src={props.captions} default />
      )}
    </video>
  );
}
