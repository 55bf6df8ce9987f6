/**
 * Serves the web page and its assets from memory. The content security policy lets a page run only scripts of this server, so that a
 * label value in a page can never run as a script.
 */
import type { ApiReply, Handler } from "../ports/http.ts";
import { route } from "../ports/route.ts";
import type { Route } from "../ports/route.ts";

export interface Page {
  readonly body: Uint8Array | string;
  readonly contentType: string;
  /** Including its quotes. */
  readonly etag: string;
}

export interface Pages {
  /** `/` is the page; `/assets/app-1a2b.js` is one of its assets. Undefined: it does not exist. */
  get(path: string): Page | undefined;
}

/** Paths that the page itself handles, under Pyroscope's names, so that links into it work. */
const PAGE_PATHS = ["/", "/explore", "/comparison", "/comparison-diff"];

export function pageRoutes(pages: Pages): readonly Route[] {
  const assets: Handler = (request) => Promise.resolve(pageReply(pages.get(request.path), request.headers, "public, max-age=31536000, immutable"));
  // Not cached: an old page would ask for assets that a newer build does not have.
  const page: Handler = (request) => Promise.resolve(pageReply(pages.get("/"), request.headers, "no-cache"));
  const icon: Handler = (request) => Promise.resolve(pageReply(pages.get(request.path), request.headers, "public, max-age=86400"));
  return [
    ...PAGE_PATHS.map((path) => route("GET", path, page)),
    route("GET", "/assets/*", assets),
    route("GET", "/favicon.ico", icon),
    route("GET", "/favicon.svg", icon),
    route("GET", "/ui", () => Promise.resolve({ status: 302, headers: { location: "/" }, body: "" })),
  ];
}

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

function pageReply(page: Page | undefined, headers: Readonly<Record<string, string>>, cacheControl: string): ApiReply {
  if (page === undefined) return { status: 404, headers: { "content-type": "text/plain; charset=utf-8" }, body: "404 page not found\n" };
  const common = {
    etag: page.etag,
    "cache-control": cacheControl,
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
  };
  const known = (headers["if-none-match"] ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known.includes(page.etag)) return { status: 304, headers: common, body: "" };
  return { status: 200, headers: { ...common, "content-type": page.contentType }, body: page.body };
}
