// What a file is, read from its first bytes and its exports, so that the form can say so before
// anything is sent. The server's own judgement after the upload is the one that counts.

export type Look = "component" | "module" | "notWasm";

export interface Recognised {
  look: Look;
  http: boolean;
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const CORE_EXPORTS = 7;
const COMPONENT_EXPORTS = 11;
const HANDLER = "wasi:http/incoming-handler";

export function recognise(bytes: Uint8Array): Recognised {
  if (bytes.length < 8 || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    return { look: "notWasm", http: false };
  }
  const component = bytes[6] === 1;
  const wanted = component ? COMPONENT_EXPORTS : CORE_EXPORTS;
  let http = false;
  for (const [id, body] of sections(bytes)) {
    // Names are UTF-8, the one looked for is ASCII: Latin-1 finds it and never fails.
    if (id === wanted) http ||= new TextDecoder("latin1").decode(body).includes(HANDLER);
  }
  return { look: component ? "component" : "module", http };
}

/** The top-level sections, as far as they are whole. */
function* sections(bytes: Uint8Array): Generator<[number, Uint8Array]> {
  let at = 8;
  while (at < bytes.length) {
    const id = bytes[at] ?? 0;
    let size = 0;
    let shift = 0;
    for (;;) {
      at += 1;
      const byte = bytes[at];
      if (byte === undefined || shift > 28) return;
      size += (byte & 0x7f) * 2 ** shift;
      shift += 7;
      if (byte < 0x80) break;
    }
    at += 1;
    yield [id, bytes.subarray(at, at + size)];
    at += size;
  }
}
