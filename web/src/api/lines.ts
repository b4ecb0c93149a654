// A streamed body as lines, as they come.

/** A line longer than this is no line of ours: nothing may grow without bound. */
const LONGEST = 8 * 1024 * 1024;

/** The lines of `body`: with each piece that arrives, those that it completes. */
export async function* lineBatches(
  body: ReadableStream<Uint8Array>,
  longest = LONGEST,
): AsyncGenerator<string[]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const parts = rest.split("\n");
      rest = parts.pop() ?? "";
      if (rest.length > longest) {
        parts.push(rest);
        rest = "";
      }
      if (done && rest) parts.push(rest);
      if (parts.length > 0) yield parts;
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
