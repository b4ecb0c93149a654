// Pages are hashes of one address, so that the server needs to know only that one.

export type Route =
  | { page: "overview" | "nodes" | "deployments" | "pods" | "modules" | "notFound" }
  | { page: "pod"; namespace: string; name: string };

const SIMPLE = ["overview", "nodes", "deployments", "pods", "modules"] as const;

export function parse(hash: string): Route {
  let parts: string[];
  try {
    parts = hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: "notFound" };
  }
  const [first = "overview", namespace, name, ...more] = parts;
  if (more.length > 0) return { page: "notFound" };
  if (first === "pods" && namespace && name) return { page: "pod", namespace, name };
  const simple = SIMPLE.find((page) => page === first);
  return simple && !namespace ? { page: simple } : { page: "notFound" };
}

export function href(route: Route): string {
  if (route.page === "pod") {
    return `#/pods/${encodeURIComponent(route.namespace)}/${encodeURIComponent(route.name)}`;
  }
  return route.page === "overview" ? "#/" : `#/${route.page}`;
}

class Router {
  route = $state.raw<Route>({ page: "overview" });

  /** Follows the address until the returned function is called. */
  start(): () => void {
    const read = () => (this.route = parse(location.hash));
    read();
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }

  go(route: Route) {
    location.hash = href(route);
  }
}

export const router = new Router();
