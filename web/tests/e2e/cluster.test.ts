// The dashboard of a real cluster in a real browser: from a dropped file to its answer.

import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { launch } from "./browser";
import { moduleFile, start, type Program } from "./program";

let program: Program;
let browser: Browser;
let page: Page;
let errors: string[];

beforeAll(async () => {
  program = await start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await program?.stop();
});

beforeEach(async () => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-US" });
  page = await context.newPage();
  page.setDefaultTimeout(45_000);
  errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) errors.push(message.text());
  });
  await page.goto(program.dashboard);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
});

afterEach(async () => {
  await page.context().close();
  expect(errors).toEqual([]);
});

async function go(name: string) {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.getByRole("heading", { name, exact: true }).waitFor();
}

function row(name: string | RegExp) {
  return page.getByRole("row").filter({ hasText: name });
}

async function drop(file: string, content: Buffer) {
  const transfer = await page.evaluateHandle(
    ([name, encoded]) => {
      const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name));
      return transfer;
    },
    [file, content.toString("base64")] as const,
  );
  await page.dispatchEvent("body", "dragenter", { dataTransfer: transfer });
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
}

it("shows three ready nodes", async () => {
  await page.getByRole("link", { name: "3 of 3 Nodes ready" }).waitFor();
  await go("Nodes");
  await expect.poll(() => page.getByRole("row").filter({ hasText: "Ready" }).count()).toBe(3);
});

it("runs a dropped HTTP handler, which answers", async () => {
  const file = process.env.CORACLE_HELLO_WASM ?? moduleFile("hello-http");
  await drop("web-hello.wasm", readFileSync(file));
  const dialog = page.getByRole("dialog");
  await dialog.getByText("An HTTP handler").waitFor();
  await dialog.getByLabel("Replicas").fill("2");
  await dialog.getByRole("button", { name: "Upload and run" }).click();
  await dialog.getByText("web-hello is running").waitFor();
  const address = await dialog.getByRole("link", { name: /^http:/ }).getAttribute("href");
  expect(await (await fetch(String(address))).text()).toContain("Hello from web-hello-");
  await dialog.getByRole("button", { name: "Close" }).last().click();

  await go("Pods");
  await expect.poll(() => row(/web-hello.*Running/).count()).toBe(2);
  await go("Modules");
  await row("web-hello").getByText("HTTP handler").waitFor();

  await go("Deployments");
  await row("web-hello").getByText("2/2").waitFor();
  await page.getByRole("button", { name: "One replica more: web-hello" }).click();
  await row("web-hello").getByText("3/3").waitFor();
  await page.getByRole("button", { name: "One replica fewer: web-hello" }).click();
  await row("web-hello").getByText("2/2").waitFor();
});

it("updates it by a second file of the name", async () => {
  await drop("web-hello.wasm", readFileSync(moduleFile("hello-http")));
  const dialog = page.getByRole("dialog");
  await dialog.getByText("web-hello exists.").waitFor();
  // The suggestion follows from the module's tags, which may come a moment after the dialog.
  await expect.poll(() => dialog.getByLabel("Tag").inputValue()).toBe("v2");
  await dialog.getByLabel("Replicas").fill("2");
  await dialog.getByRole("button", { name: "Upload and update" }).click();
  await dialog.getByText("web-hello is running").waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await go("Deployments");
  await row("web-hello").getByText("web-hello:v2").waitFor();
});

it("follows the log of a ready-made module", async () => {
  await go("Modules");
  await page.getByRole("button", { name: /^Run ticker:/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name", { exact: true }).fill("web-ticker");
  await dialog.getByRole("button", { name: "Run", exact: true }).click();
  await dialog.getByText("web-ticker is running").waitFor();
  await dialog.getByRole("link", { name: /^web-ticker-/ }).click();
  await page.locator(".xterm-rows").getByText("tick 1", { exact: true }).waitFor();
  await page.locator(".xterm-rows").getByText("tick 3", { exact: true }).waitFor();
});

it("refuses what is not WebAssembly", async () => {
  await drop("broken.wasm", Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 99, 1, 0]));
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Upload and run" }).click();
  await dialog.getByRole("alert").getByText("the module is refused").waitFor();
});

it("speaks Chinese", async () => {
  await page.getByRole("button", { name: "中文" }).click();
  await page.getByRole("link", { name: "部署", exact: true }).click();
  await page.getByRole("heading", { name: "部署" }).waitFor();
  await row("web-hello").getByRole("button", { name: "删除：web-hello" }).waitFor();
});

it("deletes deployments and with them their pods and services", async () => {
  await go("Deployments");
  for (const name of ["web-hello", "web-ticker"]) {
    await page.getByRole("button", { name: `Delete: ${name}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await row(name).waitFor({ state: "detached" });
  }
  await go("Pods");
  await expect.poll(() => row(/web-/).count(), { timeout: 45_000 }).toBe(0);
  const services = () =>
    page.evaluate(async () => {
      const headers = { Authorization: `Bearer ${sessionStorage.getItem("coracle.token")}` };
      const response = await fetch("/api/v1/namespaces/default/services", { headers });
      const list = (await response.json()) as { items: { metadata: { name: string } }[] };
      return list.items.map((item) => item.metadata.name);
    });
  await expect.poll(services, { timeout: 45_000 }).not.toContain("web-hello");
});
