// The built page before a pretended cluster: what a real one seldom does to it.

import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { MockCluster } from "../mock/cluster";
import { deployment, pod, scene } from "../mock/scene";
import { serve } from "../mock/serve";
import { launch } from "./browser";

const HANDLER = "wasi:http/incoming-handler@0.2.6#handle";
/** A core module that exports an HTTP handler's function, as far as the page looks. */
const WASM = Buffer.from([
  0,
  0x61,
  0x73,
  0x6d,
  1,
  0,
  0,
  0,
  7,
  HANDLER.length,
  ...Buffer.from(HANDLER),
]);

let browser: Browser;
let page: Page;
let cluster: MockCluster;
let server: Awaited<ReturnType<typeof serve>>;
let errors: string[];

beforeAll(async () => {
  browser = await launch();
});

afterAll(() => browser.close());

beforeEach(async () => {
  cluster = scene();
  server = await serve(cluster);
  const context = await browser.newContext({ locale: "en-US" });
  page = await context.newPage();
  errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
});

afterEach(async () => {
  await page.context().close();
  await server.stop();
  expect(errors).toEqual([]);
});

async function enter(hash = "") {
  await page.goto(`${server.url}/ui/#token=${cluster.token}`);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  if (hash) await page.goto(`${server.url}/ui/${hash}`);
}

function row(name: string) {
  return page.getByRole("row").filter({ hasText: name });
}

/** Drops a file on the page as a hand would. */
async function drop(name: string, content: Buffer) {
  const transfer = await page.evaluateHandle(
    ([name, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name));
      return transfer;
    },
    [name, [...content]] as const,
  );
  await page.dispatchEvent("body", "dragenter", { dataTransfer: transfer });
  await page.getByText("Let go to run it").waitFor();
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
}

it("asks for a token, refuses a wrong one, and leaves none in the address", async () => {
  await page.goto(`${server.url}/ui/`);
  await page.getByLabel("Token").fill("wrong");
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText("The server does not accept this token.").waitFor();
  await page.getByLabel("Token").fill(cluster.token);
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText("Pods that need a look: 1.").waitFor();
  await page.reload();
  await page.getByText("Pods that need a look: 1.").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Coracle" }).waitFor();
  await page.goto(`${server.url}/ui/#token=${cluster.token}`);
  await page.reload();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  expect(page.url()).not.toContain(cluster.token);
});

it("goes back to the sign-in when the token ends", async () => {
  await enter();
  cluster.refuse(/./, 401, "Unauthorized", 100);
  cluster.endWatches();
  await page.getByText("The server does not accept this token.").waitFor();
});

it("shows changes as they come, through lost places and failures", async () => {
  await enter("#/pods");
  await row("big-one").getByText("Pending").waitFor();
  pod(cluster, { name: "big-one", app: "big", node: "coracle-2", image: "hello:v1", minutes: 3 });
  await row("big-one").getByText("Running").waitFor();
  cluster.endWatches(410);
  pod(cluster, { name: "after", app: "big", node: "coracle-2", image: "hello:v1", minutes: 0 });
  await row("after").waitFor();
  cluster.refuse(/pods\?/, 503, "the store is busy", 2);
  cluster.endWatches();
  await page.getByText("the store is busy").waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  cluster.remove("/api/v1/pods", "after", "default");
  await row("after").waitFor({ state: "detached" });
});

it("searches, sorts and keeps to a namespace", async () => {
  await enter("#/pods");
  await page.getByLabel("Search").fill("crashloop");
  expect(await page.getByRole("row").count()).toBe(2);
  await page.getByLabel("Search").fill("no such pod");
  await page.getByText("Nothing matches “no such pod”.").waitFor();
  await page.getByLabel("Search").fill("");
  await page.getByRole("button", { name: "Restarts" }).click();
  await page.getByRole("button", { name: "Restarts" }).click();
  expect(await page.getByRole("row").nth(1).textContent()).toContain("report");
  await page.getByLabel("Namespace").selectOption("shop");
  await row("cart-5b9f7-aa1").waitFor();
  expect(await page.getByRole("row").count()).toBe(4);
});

it("shows many pods page by page", async () => {
  for (let index = 0; index < 450; index += 1) {
    const name = `many-${String(index).padStart(4, "0")}`;
    pod(cluster, { name, app: "many", node: "coracle-0", image: "hello:v1", minutes: 1 }, "shop");
  }
  await enter("#/pods");
  await page.getByLabel("Namespace").selectOption("shop");
  await page.getByText("200 of 453").waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByText("400 of 453").waitFor();
});

it("scales, restarts and deletes, and tells what is refused", async () => {
  await enter("#/deployments");
  await page.getByRole("button", { name: "One replica more: hello" }).click();
  await row("hello").getByText("9/10").waitFor();
  await page.getByRole("button", { name: "Restart: hello" }).click();
  await page.getByText("hello restarts, pod by pod.").waitFor();
  cluster.refuse(/DELETE/, 403, 'deployments.apps "cart" is forbidden');
  for (const expected of [
    'Not done: deployments.apps "cart" is forbidden',
    "cart is being deleted.",
  ]) {
    await page.getByRole("button", { name: "Delete: cart" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await page.getByText(expected).waitFor();
  }
  await row("cart").waitFor({ state: "detached" });
});

it("runs a dropped file, and updates it by the next one", async () => {
  await enter();
  await drop("My App.wasm", WASM);
  const dialog = page.getByRole("dialog");
  await dialog.getByText("An HTTP handler").waitFor();
  expect(await dialog.getByLabel("Name", { exact: true }).inputValue()).toBe("my-app");
  await dialog.getByLabel("Replicas").fill("2");
  await dialog.getByRole("button", { name: "Upload and run" }).click();
  await dialog.getByText("my-app is starting").waitFor();
  deployment(cluster, "my-app", "my-app:v1", 2, 2);
  await dialog.getByText("my-app is running").waitFor();
  expect(cluster.requests).toContain("PUT /upload/default/my-app%3Av1");
  await dialog.getByRole("button", { name: "Run another" }).click();
  await dialog.getByLabel("WebAssembly file").setInputFiles({
    name: "my-app.wasm",
    mimeType: "application/wasm",
    buffer: WASM,
  });
  await dialog.getByText("my-app exists.").waitFor();
  await dialog.getByRole("button", { name: "Upload and update" }).click();
  await dialog.getByText("my-app is running").waitFor();
});

it("says what is wrong with a file, a name, an upload", async () => {
  await enter();
  await drop("notes.txt", Buffer.from("hello"));
  const dialog = page.getByRole("dialog");
  await dialog.getByText("notes.txt is not WebAssembly").waitFor();
  await dialog.getByLabel("WebAssembly file").setInputFiles({
    name: "app.wasm",
    mimeType: "application/wasm",
    buffer: WASM,
  });
  await dialog.getByLabel("Name", { exact: true }).fill("Not A Name");
  await dialog.getByRole("button", { name: "Upload and run" }).click();
  await dialog.getByText("Lower-case letters").waitFor();
  await dialog.getByLabel("Name", { exact: true }).fill("app");
  cluster.refuse(/PUT/, 400, "the module is refused: unknown import env::secret");
  await dialog.getByRole("button", { name: "Upload and run" }).click();
  await dialog.getByText("unknown import env::secret").waitFor();
  cluster.refuse(/POST .*services/, 422, "nodePort is taken");
  await dialog.getByRole("button", { name: "Upload and run" }).click();
  await dialog.getByText("It runs, but it has no service: nodePort is taken").waitFor();
});

it("shows a pod's log and what is wrong with it", async () => {
  await enter("#/pods/default/ticker");
  await page.locator(".xterm-rows").getByText("tick 40").waitFor();
  await enter("#/pods/default/report-7c9-k2f9d");
  await page.getByText("back-off 1m20s restarting failed container").waitFor();
  await enter("#/pods/default/nobody");
  await page.getByText("The pod nobody is not there").waitFor();
});

it("keeps language and colours, and fits a phone", async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  await enter();
  await page.getByRole("button", { name: "中文" }).click();
  await page.getByRole("heading", { name: "概览" }).waitFor();
  await page.getByRole("button", { name: "跟随系统颜色" }).click();
  await page.getByRole("button", { name: "浅色" }).click();
  await page.reload();
  await page.getByRole("heading", { name: "概览" }).waitFor();
  expect(await page.locator("html").getAttribute("lang")).toBe("zh-CN");
  expect(await page.locator("html").getAttribute("data-theme")).toBe("dark");
  for (const name of ["概览", "部署", "Pod", "节点", "模块"]) {
    await page.getByRole("navigation").getByRole("link", { name }).click();
    await page.getByRole("heading", { name, exact: true }).waitFor();
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow, name).toBe(0);
  }
});

it.each(["light", "dark"] as const)("can be read by everyone, %s", async (colorScheme) => {
  await page.context().close();
  // Colours while they change are no one's colours. The checker is a script that the page's own
  // policy would not let in.
  const context = await browser.newContext({
    locale: "en-US",
    colorScheme,
    reducedMotion: "reduce",
    bypassCSP: true,
  });
  page = await context.newPage();
  await enter();
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve("axe-core") });
  const check = async (place: string) => {
    const found = await page.evaluate(async () => {
      const { axe } = window as unknown as { axe: typeof import("axe-core") };
      const { violations } = await axe.run();
      return violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`,
      );
    });
    expect(found, place).toEqual([]);
  };
  const pages = [
    ["", "Overview"],
    ["deployments", "Deployments"],
    ["pods", "Pods"],
    ["nodes", "Nodes"],
    ["modules", "Modules"],
    ["pods/default/ticker", "ticker"],
  ] as const;
  for (const [hash, name] of pages) {
    await page.evaluate((place) => (location.hash = `#/${place}`), hash);
    await page.getByRole("heading", { name, exact: true }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await check(name);
  }
  await page.getByRole("button", { name: "Run a module" }).click();
  await check("dialog");
});

it("works by keyboard alone", async () => {
  await enter();
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe(
    "Skip to the content",
  );
  await page.getByRole("button", { name: "Run a module" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});
