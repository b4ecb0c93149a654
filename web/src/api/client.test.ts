import { afterEach, expect, it, vi } from "vitest";
import { ApiError, Client, refusalOf } from "./client";
import { within } from "./paths";

afterEach(() => void vi.unstubAllGlobals());

function answering(...answers: [number, unknown][]) {
  const asked: [string, RequestInit][] = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    asked.push([path, init]);
    const [status, body] = answers[Math.min(asked.length, answers.length) - 1] ?? [500, ""];
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return Promise.resolve(new Response(text, { status }));
  });
  return asked;
}

it("sends the token and keeps the server's sentence", async () => {
  const message = 'pods "a" not found';
  const asked = answering([404, { kind: "Status", message, reason: "NotFound", code: 404 }]);
  const refused = new Client("secret").get("/api/v1/pods");
  await expect(refused).rejects.toMatchObject({ message, code: 404, reason: "NotFound" });
  expect(new Headers(asked[0]?.[1].headers).get("Authorization")).toBe("Bearer secret");
});

it("reads every page of a list", async () => {
  const asked = answering(
    [200, { metadata: { resourceVersion: "7", continue: "a/b" }, items: [1] }],
    [200, { metadata: { resourceVersion: "7" }, items: [2] }],
  );
  const list = await new Client("t").list("/api/v1/pods");
  expect(list.items).toEqual([1, 2]);
  expect(asked[1]?.[0]).toBe("/api/v1/pods?limit=500&continue=a%2Fb");
});

it("tells when nobody is signed in any more", async () => {
  answering([401, "Unauthorized\n"]);
  const gone = vi.fn();
  await expect(new Client("t", "", gone).get("/api")).rejects.toThrow("Unauthorized");
  expect(gone).toHaveBeenCalledOnce();
});

it("has words for every refusal", () => {
  expect(refusalOf(502, "Bad Gateway", "")).toEqual(new ApiError("Bad Gateway", 502, ""));
  expect(refusalOf(502, "", "").message).toBe("HTTP 502");
  expect(refusalOf(500, "", "[1]").message).toBe("[1]");
});

it("names places", () => {
  expect(within("pods", "a b", "c")).toBe("/api/v1/namespaces/a%20b/pods/c");
  expect(within("deployments", "x")).toBe("/apis/apps/v1/namespaces/x/deployments");
});
