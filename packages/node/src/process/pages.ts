/** The built page, read once at start: a few files, served from memory. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";

export interface Page {
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly etag: string;
}

const CONTENT_TYPE: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".png": "image/png",
  ".woff2": "font/woff2",
};

/** The pages by their path in the URL: `/index.html`, `/assets/...`. A missing folder means no pages; the API works without them. */
export function loadPages(directory: string): { get(path: string): Page | undefined } {
  const pages = new Map<string, Page>();
  const walk = (at: string, path: string): void => {
    for (const name of readdirSync(at)) {
      const file = join(at, name);
      if (statSync(file).isDirectory()) {
        walk(file, `${path}/${name}`);
        continue;
      }
      const body = readFileSync(file);
      const etag = `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`;
      pages.set(`${path}/${name}`, { body, contentType: CONTENT_TYPE[extname(name)] ?? "application/octet-stream", etag });
    }
  };
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) walk(directory, "");
  return { get: (path) => pages.get(path === "/" ? "/index.html" : path) };
}
