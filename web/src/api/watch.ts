// A list that stays true: listed once, then followed by a watch; taken up again where it broke
// off, and listed anew when the server has forgotten that place.

import { ApiError, type Client } from "./client";
import { lines } from "./lines";
import type { KubeObject, Status } from "./types";

type Event<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; object: T }
  | { type: "ERROR"; object: Status };

export interface Watcher<T> {
  /** The whole state, after every change to it. Changes that come together are told once. */
  onItems(items: Map<string, T>): void;
  /** Whether the list is being followed; with the reason when it is not. */
  onState(state: "live" | "waiting", error?: Error): void;
}

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;

/** Follows the list at `path` until `signal`. */
export async function follow<T extends KubeObject>(
  client: Client,
  path: string,
  watcher: Watcher<T>,
  signal: AbortSignal,
): Promise<void> {
  let items = new Map<string, T>();
  let version = "";
  let delay = FIRST_DELAY;
  while (!signal.aborted) {
    try {
      if (!version) {
        const list = await client.list<T>(path, signal);
        items = new Map(list.items.map((item) => [item.metadata.uid, item]));
        version = list.metadata.resourceVersion;
        watcher.onItems(new Map(items));
      }
      const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${version}`;
      const response = await client.request(`${path}?${query}`, { signal });
      if (!response.body) throw new Error("the watch has no body");
      watcher.onState("live");
      delay = FIRST_DELAY;
      let told: Promise<void> | undefined;
      for await (const line of lines(response.body)) {
        const event = JSON.parse(line) as Event<T>;
        if (event.type === "ERROR") {
          throw new ApiError(event.object.message, event.object.code, event.object.reason);
        }
        version = event.object.metadata.resourceVersion;
        if (event.type === "BOOKMARK") continue;
        if (event.type === "DELETED") items.delete(event.object.metadata.uid);
        else items.set(event.object.metadata.uid, event.object);
        told ??= Promise.resolve().then(() => {
          told = undefined;
          if (!signal.aborted) watcher.onItems(new Map(items));
        });
      }
      // The server ends a watch now and then: that is no failure.
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.code === 410) {
        version = "";
        continue;
      }
      if (error instanceof ApiError && error.code === 401) return;
      watcher.onState("waiting", error as Error);
      await sleep(delay * (0.5 + Math.random()), signal);
      delay = Math.min(delay * 2, LONGEST_DELAY);
    }
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
