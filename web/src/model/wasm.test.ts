import { expect, it } from "vitest";
import { recognise } from "./wasm";

const MODULE = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const COMPONENT = [0, 0x61, 0x73, 0x6d, 13, 0, 1, 0];
const HANDLER = "wasi:http/incoming-handler@0.2.6";

function section(id: number, text: string): number[] {
  const body = [...new TextEncoder().encode(text)];
  const size = [];
  for (let rest = body.length; ; rest >>= 7) {
    size.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    if (rest <= 0x7f) break;
  }
  return [id, ...size, ...body];
}

it("tells a handler by its exports alone", () => {
  const import_ = section(10, HANDLER);
  const padding = section(0, "x".repeat(300));
  const file = (...parts: number[][]) => new Uint8Array(parts.flat());
  expect(recognise(file(COMPONENT, padding, section(11, HANDLER)))).toEqual({
    look: "component",
    http: true,
  });
  expect(recognise(file(COMPONENT, import_, section(11, "wasi:cli/run@0.2.6")))).toEqual({
    look: "component",
    http: false,
  });
  expect(recognise(file(MODULE, section(7, `${HANDLER}#handle`)))).toEqual({
    look: "module",
    http: true,
  });
});

it("refuses what is no WebAssembly", () => {
  expect(recognise(new Uint8Array()).look).toBe("notWasm");
  expect(recognise(new TextEncoder().encode("#!/bin/sh\nexit")).look).toBe("notWasm");
});

it("reads a file that breaks off", () => {
  expect(recognise(new Uint8Array([...MODULE, 7, 0xff])).look).toBe("module");
  expect(recognise(new Uint8Array([...MODULE, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80])).http).toBe(
    false,
  );
});
