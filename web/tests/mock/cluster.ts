// A pretended API server, enough for the page: lists, watches, patches, uploads, logs. It lets
// tests bring about what a real one seldom does.

import type { IncomingMessage, ServerResponse } from "node:http";

interface Item {
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    creationTimestamp: string;
    generation?: number;
    labels?: Record<string, string>;
  };
  [key: string]: unknown;
}

interface Watch {
  path: string;
  send(event: unknown): void;
  end(): void;
}

const LISTS = [
  "/api/v1/namespaces",
  "/api/v1/nodes",
  "/api/v1/pods",
  "/api/v1/services",
  "/apis/apps/v1/deployments",
  "/apis/coracle.dev/v1/modules",
];

export class MockCluster {
  readonly token = "mock-token";
  /** Requests so far, as `GET /api/v1/pods?...`. */
  readonly requests: string[] = [];
  private readonly items = new Map<string, Map<string, Item>>();
  private readonly watches = new Set<Watch>();
  private version = 100;
  private refusals: { match: RegExp; code: number; message: string; times: number }[] = [];
  private logs = new Map<string, string>();

  constructor() {
    for (const path of LISTS) this.items.set(path, new Map());
  }

  /** Adds or replaces an object and tells the watches. */
  put(path: string, name: string, object: Record<string, unknown>, namespace?: string): Item {
    const list = this.list(path);
    const key = `${namespace ?? ""}/${name}`;
    const before = list.get(key);
    const given = (object.metadata ?? {}) as Partial<Item["metadata"]>;
    const item: Item = {
      ...object,
      metadata: {
        uid: before?.metadata.uid ?? `${(++this.version * 7919).toString(16)}-${name}`,
        creationTimestamp: before?.metadata.creationTimestamp ?? new Date().toISOString(),
        ...given,
        name,
        ...(namespace ? { namespace } : {}),
        resourceVersion: String(++this.version),
      },
    };
    list.set(key, item);
    this.tell(path, before ? "MODIFIED" : "ADDED", item);
    return item;
  }

  remove(path: string, name: string, namespace?: string) {
    const list = this.list(path);
    const key = `${namespace ?? ""}/${name}`;
    const item = list.get(key);
    if (!item) return;
    list.delete(key);
    const last = { ...item, metadata: { ...item.metadata, resourceVersion: `${++this.version}` } };
    this.tell(path, "DELETED", last);
  }

  setLog(pod: string, text: string) {
    this.logs.set(pod, text);
  }

  /** Ends all watches: with an error event of this code, or without one as at a time limit. */
  endWatches(code?: number) {
    for (const watch of this.watches) {
      if (code) {
        const object = status(code, "too old resource version", "Expired");
        watch.send({ type: "ERROR", object });
      }
      watch.end();
    }
    this.watches.clear();
  }

  /** Refuses the next requests that match. */
  refuse(match: RegExp, code: number, message: string, times = 1) {
    this.refusals.push({ match, code, message, times });
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://mock");
    this.requests.push(`${request.method} ${request.url}`);
    const line = `${request.method} ${url.pathname}${url.search}`;
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      await body(request);
      return refuse(response, 401, "Unauthorized");
    }
    const refusal = this.refusals.find((one) => one.times > 0 && one.match.test(line));
    if (refusal) {
      refusal.times -= 1;
      await body(request);
      return refuse(response, refusal.code, refusal.message);
    }
    if (url.pathname.startsWith("/upload/")) return this.upload(request, response, url);
    const place = parse(url.pathname);
    if (!place) return refuse(response, 404, "the server could not find the requested resource");
    if (place.sub === "log") return this.log(response, url, place.name);
    if (request.method === "GET" && url.searchParams.get("watch")) {
      return this.watch(response, place.path, url);
    }
    if (request.method === "GET") {
      const items = [...this.list(place.path).values()];
      return answer(response, 200, { metadata: { resourceVersion: `${this.version}` }, items });
    }
    const sent = JSON.parse((await body(request)) || "{}") as Item;
    this.change(request.method ?? "", response, place, sent);
  }

  private change(method: string, response: ServerResponse, place: Place, sent: Item) {
    const { path, namespace } = place;
    const name = place.name || sent.metadata.name;
    const before = this.list(path).get(`${namespace ?? ""}/${name}`);
    if (method === "POST") {
      if (before) return refuse(response, 409, `deployments.apps "${name}" already exists`);
      return answer(response, 201, this.put(path, name, sent, namespace));
    }
    if (!before) return refuse(response, 404, `"${name}" not found`);
    if (method === "DELETE") {
      this.remove(path, name, namespace);
      return answer(response, 200, status(200, "", ""));
    }
    const spec = merge(before.spec, sent.spec);
    answer(response, 200, this.put(path, name, { ...before, spec }, namespace));
  }

  private async upload(request: IncomingMessage, response: ServerResponse, url: URL) {
    const text = await body(request);
    const [, , , image = ""] = url.pathname.split("/").map(decodeURIComponent);
    answer(response, 201, {
      image,
      digest: `sha256:${"a".repeat(64)}`,
      form: text.includes("wasi:http/incoming-handler") ? "HttpHandler" : "Command",
      size: text.length,
      imports: [],
      exports: [],
    });
  }

  private log(response: ServerResponse, url: URL, pod: string) {
    response.writeHead(200, { "Content-Type": "text/plain" });
    const text = this.logs.get(pod) ?? "";
    response.write(url.searchParams.get("sinceTime") ? "" : text);
    if (!url.searchParams.get("follow")) response.end();
  }

  private watch(response: ServerResponse, path: string, url: URL) {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.flushHeaders();
    const watch: Watch = {
      path,
      send: (event) => response.write(`${JSON.stringify(event)}\n`),
      end: () => response.end(),
    };
    const since = Number(url.searchParams.get("resourceVersion"));
    for (const item of this.list(path).values()) {
      if (Number(item.metadata.resourceVersion) > since)
        watch.send({ type: "ADDED", object: item });
    }
    this.watches.add(watch);
    response.on("close", () => this.watches.delete(watch));
  }

  private tell(path: string, type: string, object: Item) {
    for (const watch of this.watches) if (watch.path === path) watch.send({ type, object });
  }

  private list(path: string): Map<string, Item> {
    const list = this.items.get(path);
    if (!list) throw new Error(`no list at ${path}`);
    return list;
  }
}

interface Place {
  path: string;
  name: string;
  namespace: string | undefined;
  sub: string;
}

function parse(pathname: string): Place | undefined {
  const found =
    /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
      pathname,
    );
  const path = found && `${found[1]}/${found[3]}`;
  if (!path || !LISTS.includes(path)) return undefined;
  return { path, namespace: found[2], name: found[4] ?? "", sub: found[5] ?? "" };
}

function merge(before: unknown, patch: unknown): unknown {
  const isObject = (value: unknown) => typeof value === "object" && !Array.isArray(value);
  if (!before || !patch || !isObject(before) || !isObject(patch)) return patch ?? before;
  const merged = { ...(before as Record<string, unknown>) };
  for (const [key, value] of Object.entries(patch)) merged[key] = merge(merged[key], value);
  return merged;
}

function status(code: number, message: string, reason: string) {
  return { kind: "Status", apiVersion: "v1", status: "Failure", message, reason, code };
}

function answer(response: ServerResponse, code: number, object: unknown) {
  response.writeHead(code, { "Content-Type": "application/json" });
  response.end(JSON.stringify(object));
}

function refuse(response: ServerResponse, code: number, message: string) {
  answer(response, code, status(code, message, ""));
}

async function body(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("latin1");
}
