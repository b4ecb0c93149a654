// A cluster of the real program for one test run: the one that CORACLE_URL and CORACLE_TOKEN name,
// or a new one that ends with the tests.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

export interface Program {
  /** The address that `coracle up` prints for the dashboard, token and all. */
  dashboard: string;
  stop(): Promise<void>;
}

const ROOT = resolve(import.meta.dirname, "../../..");
const START_LIMIT = 60_000;

/** A ready-made module as `make modules` builds it. */
export function moduleFile(name: string): string {
  const file = join(ROOT, "target/modules", `${name}.wasm`);
  if (!existsSync(file)) throw new Error(`${file} is missing: run 'make modules'`);
  return file;
}

export async function start(): Promise<Program> {
  const { CORACLE_URL, CORACLE_TOKEN, CORACLE_BIN } = process.env;
  if (CORACLE_URL && CORACLE_TOKEN) {
    const dashboard = `${CORACLE_URL.replace(/\/$/, "")}/ui/#token=${CORACLE_TOKEN}`;
    return { dashboard, stop: async () => undefined };
  }
  const binary = CORACLE_BIN ?? join(ROOT, "target/debug/coracle");
  if (!existsSync(binary)) throw new Error(`${binary} is missing: run 'make build'`);
  const directory = mkdtempSync(join(tmpdir(), "coracle-web-"));
  const options = ["up", "--ephemeral", "--port", "0", "--data-dir", directory];
  const child = spawn(binary, options, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (part: Buffer) => {
    said = (said + part.toString()).slice(-4_000);
  });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const stop = async () => {
    child.kill("SIGINT");
    const forced = setTimeout(() => child.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(forced);
    rmSync(directory, { recursive: true, force: true });
  };
  const late = setTimeout(() => child.kill("SIGKILL"), START_LIMIT);
  let dashboard: string | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    dashboard = /^Dashboard\s+(\S+)/.exec(line)?.[1];
    if (dashboard) break;
  }
  clearTimeout(late);
  // Whatever it prints from now on must not fill the pipe.
  child.stdout.resume();
  if (dashboard) return { dashboard, stop };
  await stop();
  throw new Error(`coracle up ended without naming its dashboard:\n${said}`);
}
