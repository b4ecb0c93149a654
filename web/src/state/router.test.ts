import { expect, it } from "vitest";
import { href, parse, type Route } from "./router.svelte";

it.each<Route>([
  { page: "overview" },
  { page: "pods" },
  { page: "modules" },
  { page: "pod", namespace: "default", name: "a.b" },
  { page: "pod", namespace: "a/b", name: "c d" },
])("$page is found again", (route) => {
  expect(parse(href(route))).toEqual(route);
});

it("knows no other pages", () => {
  for (const hash of ["#/nothing", "#/nodes/a", "#/pods/a/b/c", "#/pods/a", "#/%"]) {
    expect(parse(hash)).toEqual({ page: "notFound" });
  }
  expect(parse("")).toEqual({ page: "overview" });
});
