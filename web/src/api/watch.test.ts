// Against a pretended server over loopback, so that the stream is a real one.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MockCluster } from "../../tests/mock/cluster";
import { serve } from "../../tests/mock/serve";
import { Client } from "./client";
import type { KubeObject } from "./types";
import { follow, type Pace } from "./watch";

const PODS = "/api/v1/pods";
const QUICK: Pace = { first: 5, longest: 20, shortest: 1, gather: 1, watch: 60_000 };

let cluster: MockCluster;
let server: Awaited<ReturnType<typeof serve>>;
let stop: AbortController;
let names: string[];
let states: string[];
let unauthorized: number;

beforeEach(async () => {
  cluster = new MockCluster();
  server = await serve(cluster);
  stop = new AbortController();
  names = [];
  states = [];
  unauthorized = 0;
});

afterEach(async () => {
  stop.abort();
  await server.stop();
});

function start(token = cluster.token, pace = QUICK): Promise<void> {
  const client = new Client(token, server.url, () => (unauthorized += 1));
  const watcher = {
    onItems: (items: KubeObject[]) => {
      names = items.map((item) => item.metadata.name).sort();
    },
    onState: (state: string, error?: Error) =>
      states.push(error ? `${state}: ${error.message}` : state),
  };
  return follow(client, PODS, watcher, stop.signal, pace);
}

const seen = (expected: string[]) => vi.waitFor(() => expect(names).toEqual(expected));
const live = () => vi.waitFor(() => expect(states.at(-1)).toBe("live"));
const lists = () => cluster.requests.filter((line) => line.includes("limit=")).length;
const watches = () => cluster.requests.filter((line) => line.includes("watch=true"));

it("lists, then follows what changes", async () => {
  cluster.put(PODS, "a", {}, "default");
  void start();
  await seen(["a"]);
  await live();
  cluster.put(PODS, "b", {}, "default");
  await seen(["a", "b"]);
  cluster.remove(PODS, "a", "default");
  await seen(["b"]);
  expect(lists()).toBe(1);
});

it("takes a watch up where it ended, without listing", async () => {
  void start();
  await live();
  cluster.put(PODS, "a", {}, "default");
  await seen(["a"]);
  cluster.endWatches();
  cluster.put(PODS, "b", {}, "default");
  await seen(["a", "b"]);
  expect(lists()).toBe(1);
  const version = Number(/resourceVersion=(\d+)/.exec(watches().at(-1) ?? "")?.[1]);
  expect(version).toBeGreaterThan(100);
});

it("lists anew when the server has forgotten the place", async () => {
  cluster.put(PODS, "a", {}, "default");
  void start();
  await live();
  cluster.endWatches(410);
  cluster.remove(PODS, "a", "default");
  cluster.put(PODS, "b", {}, "default");
  await seen(["b"]);
  expect(lists()).toBe(2);
});

it("lists anew when the watch is refused with 410", async () => {
  cluster.refuse(/watch=true/, 410, "too old resource version");
  void start();
  await live();
  expect(lists()).toBe(2);
});

it("says why it waits, and goes on when the server is well again", async () => {
  cluster.refuse(/GET .*pods/, 503, "the store is busy", 2);
  void start();
  await live();
  expect(states).toEqual(["waiting: the store is busy", "waiting: the store is busy", "live"]);
});

it("does not spin when the server ends each watch at once", async () => {
  const pace = { ...QUICK, first: 40, longest: 40, shortest: 60_000 };
  const timer = setInterval(() => cluster.endWatches(), 1);
  void start(cluster.token, pace);
  await vi.waitFor(() => expect(watches().length).toBeGreaterThan(3), { timeout: 5_000 });
  clearInterval(timer);
  // Each of them was live: an early end alone is no error to be shown.
  expect(new Set(states)).toEqual(new Set(["live"]));
});

it("ends when the token is refused", async () => {
  await start("wrong");
  expect(unauthorized).toBe(1);
  expect(cluster.requests).toHaveLength(1);
});

it("ends with its signal, and leaves no watch behind", async () => {
  const following = start();
  await live();
  stop.abort();
  await following;
  const before = cluster.requests.length;
  cluster.endWatches();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(cluster.requests).toHaveLength(before);
});
