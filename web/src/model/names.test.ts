import { expect, it } from "vitest";
import { isLabel, isServiceName, isTag, nameFor, nextTag } from "./names";

it.each([
  ["hello-http.wasm", "hello-http"],
  ["My_App (2).wasm", "my-app-2"],
  ["C:\\work\\thing.component.wasm", "thing"],
  ["2048.wasm", "app"],
  ["日本.wasm", "app"],
  [`${"a".repeat(80)}.wasm`, "a".repeat(50)],
])("%s is called %s", (file, name) => {
  expect(nameFor(file)).toBe(name);
  expect(isServiceName(name)).toBe(true);
});

it("suggests the tag after the last", () => {
  expect(nextTag([])).toBe("v1");
  expect(nextTag(["latest"])).toBe("v1");
  expect(nextTag(["v2", "v10", "v9-beta"])).toBe("v11");
});

it("knows names and tags", () => {
  expect(["a", "a-1", "0a"].map(isLabel)).toEqual([true, true, true]);
  expect(["", "-a", "A", "a.b", "a".repeat(64)].some(isLabel)).toBe(false);
  expect(isServiceName("0a")).toBe(false);
  expect(["v1", "1.0_x", "_"].every(isTag)).toBe(true);
  expect(["", ".a", "a:b", "a/b"].some(isTag)).toBe(false);
});
