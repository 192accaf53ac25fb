import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./api";
import { t } from "./texts";

export interface Polled<T> {
  value: T | null;
  problem: Problem | null;
  refresh: () => void;
}

/**
 * What `load` gives, asked for again after `seconds(value)`; `null` asks no more. While the page is hidden it waits.
 *
 * `key` tells one thing that is asked for from another.
 */
export function usePolled<T>(key: string, load: () => Promise<T>, seconds: (value: T) => number | null): Polled<T> {
  const [state, setState] = useState<{ value: T | null; problem: Problem | null }>({ value: null, problem: null });
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    let round = 0;
    const ask = async (): Promise<void> => {
      clearTimeout(timer);
      const mine = ++round;
      let pause: number | null = 5;
      try {
        const value = await load();
        if (ended || mine !== round) return;
        setState({ value, problem: null });
        pause = seconds(value);
      } catch (error) {
        if (ended || mine !== round) return;
        const problem = error instanceof Problem ? error : new Problem(0, t.errors.unexpected);
        setState((before) => ({ ...before, problem }));
        if (problem.status === 404) pause = null;
      }
      if (pause !== null) timer = setTimeout(wait, pause * 1000);
    };
    const wait = (): void => {
      if (!document.hidden) void ask();
    };
    const shown = (): void => {
      if (!document.hidden) void ask();
    };
    again.current = () => void ask();
    setState({ value: null, problem: null });
    void ask();
    document.addEventListener("visibilitychange", shown);
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [key]);
  return { ...state, refresh: () => again.current() };
}
