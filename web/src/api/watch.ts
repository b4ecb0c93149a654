// A list that stays true: listed once, then followed by a watch; taken up again where it broke
// off, and listed anew when the server has forgotten that place.

import { ApiError, type Client } from "./client";
import { lineBatches } from "./lines";
import type { KubeObject, Status } from "./types";

type Event<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; object: T }
  | { type: "ERROR"; object: Status };

export interface Watcher<T> {
  /** The whole state, after changes to it. Changes that come close together are told once. */
  onItems(items: T[]): void;
  /** Whether the list is being followed; with the reason when it is not. */
  onState(state: "live" | "waiting", error?: Error): void;
}

/** All times of following, in milliseconds. */
export interface Pace {
  /** First and longest wait after a failure; between them it doubles. */
  first: number;
  longest: number;
  /** A watch that ends sooner than this did not work, whatever it said. */
  shortest: number;
  /** Changes within this time are told together. */
  gather: number;
  /** How long the server is asked to keep one watch. */
  watch: number;
}

const PACE: Pace = { first: 500, longest: 15_000, shortest: 1_000, gather: 30, watch: 300_000 };

/** Follows the list at `path` until `signal`. Ends early only when the token is refused. */
export async function follow<T extends KubeObject>(
  client: Client,
  path: string,
  watcher: Watcher<T>,
  signal: AbortSignal,
  pace: Pace = PACE,
): Promise<void> {
  const follower = new Follower(client, path, watcher, pace);
  let failures = 0;
  while (!signal.aborted) {
    const began = performance.now();
    let failure: Error | undefined;
    try {
      await follower.watch(signal);
      // The server ends a watch now and then: that is no failure, unless it does so at once.
      const lasted = performance.now() - began;
      failures = lasted < pace.shortest ? failures + 1 : 0;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.code === 401) return;
      failure = error instanceof Error ? error : new Error(String(error));
      failures = follower.heard ? 1 : failures + 1;
      if (error instanceof ApiError && error.code === 410) {
        // Listing anew is the cure; only a second refusal in a row is trouble.
        follower.forget();
        if (failures === 1) continue;
      }
    }
    if (failures === 0) continue;
    if (failure) watcher.onState("waiting", failure);
    const wait = Math.min(pace.first * 2 ** (failures - 1), pace.longest);
    await sleep(wait * (0.5 + Math.random()), signal);
  }
}

class Follower<T extends KubeObject> {
  /** Whether the present watch has brought anything. */
  heard = false;
  private items = new Map<string, T>();
  private version = "";
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly client: Client,
    private readonly path: string,
    private readonly watcher: Watcher<T>,
    private readonly pace: Pace,
  ) {}

  forget() {
    this.version = "";
  }

  /** Lists if nothing is known, then watches until the server ends it. */
  async watch(signal: AbortSignal): Promise<void> {
    this.heard = false;
    if (!this.version) await this.list(signal);
    // Each watch ends at another time, so that not all are taken up again at once.
    const lasting = Math.round((this.pace.watch / 1000) * (1 + Math.random()));
    const query = new URLSearchParams({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: this.version,
      timeoutSeconds: String(lasting),
    });
    // A connection that died unnoticed brings no end: after that time it is given up here.
    const late = new AbortController();
    const deadline = setTimeout(() => late.abort(), lasting * 1000 + 15_000);
    try {
      const either = AbortSignal.any([signal, late.signal]);
      const response = await this.client.request(`${this.path}?${query}`, { signal: either });
      if (!response.body) throw new Error("the watch has no body");
      this.watcher.onState("live");
      for await (const batch of lineBatches(response.body)) {
        for (const line of batch) if (line) this.apply(JSON.parse(line) as Event<T>);
      }
    } catch (error) {
      if (!late.signal.aborted) throw error;
    } finally {
      clearTimeout(deadline);
      if (signal.aborted) clearTimeout(this.timer);
    }
  }

  private async list(signal: AbortSignal): Promise<void> {
    const list = await this.client.list<T>(this.path, signal);
    this.items = new Map(list.items.map((item) => [item.metadata.uid, item]));
    this.version = list.metadata.resourceVersion;
    this.watcher.onItems([...this.items.values()]);
  }

  private apply(event: Event<T>): void {
    if (event.type === "ERROR") {
      throw new ApiError(event.object.message, event.object.code, event.object.reason);
    }
    this.heard = true;
    const { uid, resourceVersion } = event.object.metadata;
    this.version = resourceVersion;
    if (event.type === "BOOKMARK") return;
    if (event.type === "DELETED") this.items.delete(uid);
    else this.items.set(uid, event.object);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.watcher.onItems([...this.items.values()]);
    }, this.pace.gather);
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
  });
}
