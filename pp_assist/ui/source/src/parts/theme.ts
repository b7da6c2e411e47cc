/** Light or dark: as the system has it, unless a person says otherwise. */

import { computed, effect, signal } from "@preact/signals";

export type Wish = "system" | "light" | "dark";

const KEPT_AS = "putplace-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
export const wish = signal<Wish>(kept());
export const theme = computed(() => (wish.value === "system" ? (systemIsDark.value ? "dark" : "light") : wish.value));

/** Let the page look as it is wished, now and later. */
export function dress(): void {
  system.addEventListener("change", () => (systemIsDark.value = system.matches));
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    try {
      localStorage.setItem(KEPT_AS, wish.value);
    } catch {
      // not kept: it is asked for again next time
    }
  });
}

export function nextWish(): void {
  wish.value = { system: "light", light: "dark", dark: "system" }[wish.value] as Wish;
}

function kept(): Wish {
  try {
    const found = localStorage.getItem(KEPT_AS);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system";
  }
}
