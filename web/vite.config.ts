import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// `npm run dev` shows the page of this directory before a running cluster.
const cluster = { target: process.env.CORACLE_URL ?? "https://127.0.0.1:6443", secure: false };

export default defineConfig({
  base: "/ui/",
  plugins: [svelte()],
  build: { outDir: "../target/web", emptyOutDir: true, assetsInlineLimit: 0 },
  server: { proxy: { "/api": cluster, "/apis": cluster, "/upload": cluster } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
