// Light or dark: as the system says, until people choose.

import { effect, signal } from "@preact/signals";

const KEY = "transcribe.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

const chosen = signal<string | null>(localStorage.getItem(KEY));
const systemDark = signal(system.matches);
system.addEventListener("change", () => {
  systemDark.value = system.matches;
});

export const isDark = (): boolean => (chosen.value ? chosen.value === "dark" : systemDark.value);

effect(() => {
  document.documentElement.dataset["theme"] = isDark() ? "dark" : "light";
});

export function switchTheme(): void {
  chosen.value = isDark() ? "light" : "dark";
  localStorage.setItem(KEY, chosen.value);
}
