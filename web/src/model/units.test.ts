import { expect, it } from "vitest";
import { age, bytes, quantity } from "./units";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

it.each([
  [-5 * SECOND, "0s"],
  [119 * SECOND, "119s"],
  [2 * MINUTE, "2m"],
  [2 * MINUTE + 5 * SECOND, "2m5s"],
  [10 * MINUTE + 5 * SECOND, "10m"],
  [179 * MINUTE, "179m"],
  [3 * HOUR + 20 * MINUTE, "3h20m"],
  [9 * HOUR, "9h"],
  [47 * HOUR, "47h"],
  [2 * DAY + 3 * HOUR, "2d3h"],
  [30 * DAY, "30d"],
  [800 * DAY, "2y70d"],
  [9 * 365 * DAY, "9y"],
])("%i ms is an age of %s", (milliseconds, text) => {
  const since = "2026-01-01T00:00:00Z";
  expect(age(since, Date.parse(since) + milliseconds)).toBe(text);
});

it("shows no age of what has no time", () => {
  expect(age("", 0)).toBe("");
});

it.each([
  ["100m", 0.1],
  ["2", 2],
  ["1Ki", 1024],
  ["1.5Gi", 1.5 * 2 ** 30],
  ["3M", 3e6],
  ["1e3", 1000],
  ["12E", 12e18],
  ["lots", NaN],
  ["1Zz", NaN],
])("%s is %d", (text, value) => {
  expect(quantity(text)).toBe(value);
});

it.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1 KiB"],
  [1536, "1.5 KiB"],
  [200 * 1024, "200 KiB"],
  [18 * 2 ** 20, "18 MiB"],
  [NaN, ""],
])("%d bytes are %s", (count, text) => {
  expect(bytes(count)).toBe(text);
});
