// What the reader chose, kept in the browser: language, colours, namespace.

type Language = "en" | "zh";
export type Theme = "auto" | "light" | "dark";

const THEMES: Theme[] = ["auto", "light", "dark"];

function kept(key: string): string | null {
  try {
    return localStorage.getItem(`coracle.${key}`);
  } catch {
    return null;
  }
}

function keep(key: string, value: string) {
  try {
    localStorage.setItem(`coracle.${key}`, value);
  } catch {
    // A browser that keeps nothing loses only the choice.
  }
}

function firstLanguage(): Language {
  const chosen = kept("language");
  if (chosen === "en" || chosen === "zh") return chosen;
  return typeof navigator !== "undefined" && navigator.language.startsWith("zh") ? "zh" : "en";
}

class Settings {
  #language = $state<Language>(firstLanguage());
  #theme = $state<Theme>(THEMES.find((theme) => theme === kept("theme")) ?? "auto");
  #namespace = $state(kept("namespace") ?? "");

  get language() {
    return this.#language;
  }

  set language(language: Language) {
    this.#language = language;
    keep("language", language);
  }

  get theme() {
    return this.#theme;
  }

  nextTheme() {
    this.#theme = THEMES[(THEMES.indexOf(this.#theme) + 1) % THEMES.length] ?? "auto";
    keep("theme", this.#theme);
  }

  /** The namespace looked at; empty for all of them. */
  get namespace() {
    return this.#namespace;
  }

  set namespace(namespace: string) {
    this.#namespace = namespace;
    keep("namespace", namespace);
  }
}

export const settings = new Settings();
