// A pretended cluster with the built page in front, on a free port of this machine.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type { MockCluster } from "./cluster";

const BUILT = fileURLToPath(new URL("../../../target/web/", import.meta.url));
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
/** As the program sends it. */
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

export async function serve(cluster: MockCluster): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://mock").pathname;
    if (!path.startsWith("/ui/")) {
      cluster.handle(request, response).catch(() => response.destroy());
      return;
    }
    const name = normalize(path.slice("/ui/".length) || "index.html");
    readFile(join(BUILT, name)).then(
      (content) => {
        response.writeHead(200, {
          "Content-Type": TYPES[extname(name)] ?? "application/octet-stream",
          "Content-Security-Policy": POLICY,
        });
        response.end(content);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
