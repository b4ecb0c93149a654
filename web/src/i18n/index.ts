// What the page says, in the language of its reader. Keys and their parameters are types: a
// missing translation, a misspelt key or a forgotten parameter does not compile.

import { settings } from "../state/settings.svelte";
import { en, type Key, type Messages } from "./en";
import { zh } from "./zh";

export const languages: Record<"en" | "zh", { messages: Messages; tag: string }> = {
  en: { messages: en, tag: "en" },
  zh: { messages: zh, tag: "zh-CN" },
};

type Names<Text> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

type Parameters<K extends Key> = [Names<(typeof en)[K]>] extends [never]
  ? []
  : [Record<Names<(typeof en)[K]>, string | number>];

/** The message `key`; reactive to the language. */
export function t<K extends Key>(key: K, ...parameters: Parameters<K>): string {
  const values: Record<string, string | number> = parameters[0] ?? {};
  const message: string = languages[settings.language].messages[key];
  return message.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
