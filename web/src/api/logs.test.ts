import { afterEach, expect, it, vi } from "vitest";
import { Client } from "./client";
import { readLog, type LogLine } from "./logs";

afterEach(() => void vi.unstubAllGlobals());

const request = {
  namespace: "default",
  pod: "web-0",
  container: "app",
  follow: true,
  previous: false,
};

async function read(text: string, since = ""): Promise<{ lines: LogLine[]; path: string }> {
  let path = "";
  vi.stubGlobal("fetch", (asked: string) => {
    path = asked;
    return Promise.resolve(new Response(text));
  });
  const lines: LogLine[] = [];
  const { signal } = new AbortController();
  for await (const batch of readLog(new Client("t"), request, since, signal)) lines.push(...batch);
  return { lines, path };
}

it("parts times from what was printed", async () => {
  const { lines, path } = await read("2026-01-01T00:00:01.5Z hello  you\nno time here\n");
  expect(lines).toEqual([
    { time: "2026-01-01T00:00:01.5Z", text: "hello  you" },
    { time: "", text: "no time here" },
  ]);
  expect(path).toMatch(/^\/api\/v1\/namespaces\/default\/pods\/web-0\/log\?container=app&/);
  expect(path).toContain("follow=true&tailLines=");
});

it("goes on after the last line that is known", async () => {
  const times = ["01Z", "01.1Z", "01.12Z", "01.2Z", "02Z"];
  const text = times.map((time) => `2026-01-01T00:00:${time} ${time}\n`).join("");
  const { lines, path } = await read(text, "2026-01-01T00:00:01.1Z");
  expect(lines.map((line) => line.text)).toEqual(["01.12Z", "01.2Z", "02Z"]);
  expect(path).toContain("sinceTime=2026-01-01T00%3A00%3A01.1Z");
  expect(path).not.toContain("tailLines");
});
