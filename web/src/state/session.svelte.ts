// Who is signed in: the token that every request carries. It comes in the address's fragment,
// which no server ever sees, and stays in this tab only.

import { Client } from "../api/client";
import { Cluster } from "./cluster.svelte";

const KEY = "coracle.token";
const FRAGMENT = /^#token=([^&]+)/;

class Session {
  cluster = $state.raw<Cluster>();
  /** Whether the last token was refused. */
  refused = $state(false);

  /** Takes the token of the address, or the one this tab has kept. */
  start() {
    // The address of a new cluster may be opened in the tab of an old one: no new page is loaded.
    addEventListener("hashchange", () => this.takeFragment());
    if (this.takeFragment()) return;
    const kept = sessionStorage.getItem(KEY);
    if (kept) this.enter(kept);
  }

  private takeFragment(): boolean {
    const given = FRAGMENT.exec(location.hash)?.[1];
    if (!given) return false;
    // The token must not stay in the address, nor in the history.
    history.replaceState(null, "", `${location.pathname}#/`);
    this.enter(decodeURIComponent(given));
    return true;
  }

  enter(token: string) {
    this.leave();
    sessionStorage.setItem(KEY, token);
    this.refused = false;
    this.cluster = new Cluster(
      new Client(token, "", () => {
        this.leave();
        this.refused = true;
      }),
    );
  }

  leave() {
    this.cluster?.close();
    this.cluster = undefined;
    this.refused = false;
    sessionStorage.removeItem(KEY);
  }
}

export const session = new Session();
