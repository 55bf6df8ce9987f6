/**
 * Builds the page into `dist/`. Three things must stay true, because the node serves the folder as it is, under a
 * Content-Security-Policy of `default-src 'self'` and perhaps under a path prefix:
 * paths are relative, nothing is inlined (no data: URLs, no inline script), names under assets/ carry a hash.
 */
import { defineConfig } from "vite";

// The one default export of the package: vite asks for it.
export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
});
