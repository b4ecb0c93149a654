// The present, once a second, for ages.

import { createSubscriber } from "svelte/reactivity";

const tick = createSubscriber((update) => {
  const timer = setInterval(update, 1000);
  return () => clearInterval(timer);
});

/** Milliseconds since the epoch; whoever reads it in a template is shown each second. */
export function now(): number {
  tick();
  return Date.now();
}
