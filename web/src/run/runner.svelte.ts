// Whether the dialog that runs modules is open, and what it was opened with.

import type { Module } from "../api/types";

export interface Start {
  /** A file to upload. */
  file?: File;
  /** What the registry has already. */
  module?: Module;
  tag?: string;
}

class Runner {
  start = $state.raw<Start>();

  open(start: Start = {}) {
    this.start = { ...start };
  }

  close() {
    this.start = undefined;
  }
}

export const runner = new Runner();
