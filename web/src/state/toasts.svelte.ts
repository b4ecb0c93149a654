// Short messages about what was done or refused.

import { t } from "../i18n";

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_FOR = 6_000;
const MOST = 4;

class Toasts {
  list = $state<Toast[]>([]);
  private last = 0;

  add(text: string, bad = false) {
    const id = ++this.last;
    this.list = [...this.list, { id, text, bad }].slice(-MOST);
    // A refusal stays until it has been read.
    if (!bad) setTimeout(() => this.remove(id), SHOWN_FOR);
  }

  remove(id: number) {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  /** Says what came of `work`: `done` when it succeeded, else the server's own sentence. */
  async tell(work: Promise<unknown>, done?: string): Promise<void> {
    try {
      await work;
      if (done) this.add(done);
    } catch (error) {
      this.add(t("toast.failed", { reason: reasonOf(error) }), true);
    }
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const toasts = new Toasts();
