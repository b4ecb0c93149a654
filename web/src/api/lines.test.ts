import { expect, it } from "vitest";
import { lineBatches } from "./lines";

function stream(...pieces: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}

async function all(body: ReadableStream<Uint8Array>, longest?: number): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of lineBatches(body, longest)) found.push(...batch);
  return found;
}

const bytes = (text: string) => new TextEncoder().encode(text);

it("joins what was cut, even inside a character", async () => {
  const text = bytes("né\nab\n日本");
  const pieces = Array.from(text, (byte) => new Uint8Array([byte]));
  expect(await all(stream(...pieces))).toEqual(["né", "ab", "日本"]);
});

it("gives empty lines, and none of an empty body", async () => {
  expect(await all(stream(bytes("a\n\nb\n")))).toEqual(["a", "", "b"]);
  expect(await all(stream())).toEqual([]);
});

it("does not gather a line without end", async () => {
  const endless = Array.from({ length: 10 }, () => bytes("x".repeat(8)));
  expect(await all(stream(...endless), 20)).toEqual([
    "x".repeat(24),
    "x".repeat(24),
    "x".repeat(24),
    "xxxxxxxx",
  ]);
});

it("ends the request when nobody reads on", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(bytes("more\n")),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const batch of lineBatches(body)) if (batch.length) break;
  expect(cancelled).toBe(true);
});
