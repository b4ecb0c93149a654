import { expect, it } from "vitest";
import { settings } from "../state/settings.svelte";
import { t } from ".";
import { en, type Key } from "./en";
import { zh } from "./zh";

const parameters = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((one) => one[1]).sort();

it.each(Object.keys(en) as Key[])("%s has the same parameters in Chinese", (key) => {
  expect(parameters(zh[key])).toEqual(parameters(en[key]));
});

it("speaks the chosen language", () => {
  settings.language = "en";
  expect(t("overview.of", { part: 1, whole: 3 })).toBe("1 of 3");
  settings.language = "zh";
  expect(t("nav.overview")).toBe("概览");
  expect(t("confirm.deleteTitle", { name: "a{b}" })).toBe("删除 a{b}？");
  settings.language = "en";
});
