// One list of the cluster, followed for as long as somebody looks at it.

import type { Client } from "../api/client";
import type { KubeObject } from "../api/types";
import { follow } from "../api/watch";

/** Between two pages the list is kept, so that going back shows it at once. */
const LINGER = 3_000;

export class LiveList<T extends KubeObject> {
  items = $state.raw<T[]>([]);
  state = $state<"loading" | "live" | "waiting">("loading");
  error = $state.raw<Error>();

  private users = 0;
  private stop: AbortController | undefined;
  private lingering: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly client: Client,
    private readonly path: string,
  ) {}

  /** Follows the list until the returned function is called by its last user. */
  use(): () => void {
    this.users += 1;
    clearTimeout(this.lingering);
    if (!this.stop) this.start();
    return () => {
      this.users -= 1;
      if (this.users === 0) this.lingering = setTimeout(() => this.close(), LINGER);
    };
  }

  close() {
    clearTimeout(this.lingering);
    this.stop?.abort();
    this.stop = undefined;
    this.state = "loading";
  }

  private start() {
    const stop = new AbortController();
    this.stop = stop;
    const watcher = {
      onItems: (items: T[]) => {
        this.items = items;
      },
      onState: (state: "live" | "waiting", error?: Error) => {
        if (stop.signal.aborted) return;
        this.state = state;
        this.error = error;
      },
    };
    void follow<T>(this.client, this.path, watcher, stop.signal);
  }
}
