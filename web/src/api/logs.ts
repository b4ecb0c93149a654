// A container's log, in the batches in which it comes.

import { within } from "./paths";
import type { Client } from "./client";
import { lineBatches } from "./lines";

export interface LogRequest {
  namespace: string;
  pod: string;
  container: string;
  follow: boolean;
  previous: boolean;
}

export interface LogLine {
  time: string;
  text: string;
}

/** A guest may print without ever ending its line. */
const LONGEST_LINE = 64 * 1024;
const FIRST_LINES = 2_000;

/** The log from `since` on, which is the time of the last line already known. */
export async function* readLog(
  client: Client,
  { namespace, pod, container, follow, previous }: LogRequest,
  since: string,
  signal: AbortSignal,
): AsyncGenerator<LogLine[]> {
  const query = new URLSearchParams({ container, timestamps: "true" });
  if (follow) query.set("follow", "true");
  if (previous) query.set("previous", "true");
  if (since) query.set("sinceTime", since);
  else query.set("tailLines", String(FIRST_LINES));
  const path = `${within("pods", namespace, pod)}/log?${query}`;
  const { body } = await client.request(path, { signal });
  if (!body) return;
  for await (const batch of lineBatches(body, LONGEST_LINE)) {
    // `sinceTime` is rounded to seconds: what was known already is left out here.
    const fresh = batch.map(parse).filter(({ time }) => !since || isLater(time, since));
    if (fresh.length > 0) yield fresh;
  }
}

/** Compares times in UTC as they are written, to the nanosecond; ".1" comes before ".12". */
function isLater(time: string, than: string): boolean {
  return time.replace("Z", "") > than.replace("Z", "");
}

function parse(line: string): LogLine {
  const split = line.indexOf(" ");
  const time = line.slice(0, Math.max(split, 0));
  if (!/^\d{4}-\d\d-\d\dT/.test(time)) return { time: "", text: line };
  return { time, text: line.slice(split + 1) };
}
