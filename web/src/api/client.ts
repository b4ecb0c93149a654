// Requests to the API server, under the token that the page was opened with.

import type { List, Status } from "./types";

const STRATEGIC = "application/strategic-merge-patch+json";

/** A refused or failed request, with the server's own sentence. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: number,
    readonly reason: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** A refused request: most often as a Status, else the text is all there is. */
export function refusalOf(code: number, summary: string, text: string): ApiError {
  try {
    const status = JSON.parse(text) as Partial<Status>;
    if (status.kind === "Status") {
      return new ApiError(status.message ?? text, code, status.reason ?? "");
    }
  } catch {
    // Not every refusal is JSON.
  }
  return new ApiError(text.trim() || summary || `HTTP ${code}`, code, "");
}

export class Client {
  constructor(
    readonly token: string,
    private readonly base = "",
    private readonly onUnauthorized: () => void = () => undefined,
  ) {}

  /** The response to a request that the server did not refuse. */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${this.token}`);
    const response = await fetch(this.base + path, { ...init, headers });
    if (response.status === 401) this.onUnauthorized();
    if (!response.ok) {
      throw refusalOf(response.status, response.statusText, await response.text());
    }
    return response;
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    const init = signal ? { signal } : {};
    return (await (await this.request(path, init)).json()) as T;
  }

  /** Every item below `path`, page by page. */
  async list<T>(path: string, signal?: AbortSignal): Promise<List<T>> {
    const items: T[] = [];
    let next = "";
    for (;;) {
      const query = next ? `&continue=${encodeURIComponent(next)}` : "";
      const page: List<T> = await this.get(`${path}?limit=500${query}`, signal);
      items.push(...page.items);
      if (!page.metadata.continue) return { metadata: page.metadata, items };
      next = page.metadata.continue;
    }
  }

  async create<T>(path: string, object: unknown): Promise<T> {
    return this.send("POST", path, object, "application/json");
  }

  /** Lists inside are merged by their items' names, as Kubernetes defines it for built-in kinds. */
  async patch<T>(path: string, patch: unknown, type = STRATEGIC): Promise<T> {
    return this.send("PATCH", path, patch, type);
  }

  async delete(path: string): Promise<void> {
    await this.request(path, { method: "DELETE" });
  }

  private async send<T>(method: string, path: string, body: unknown, type: string): Promise<T> {
    const headers = { "Content-Type": type };
    const response = await this.request(path, { method, headers, body: JSON.stringify(body) });
    return (await response.json()) as T;
  }
}
