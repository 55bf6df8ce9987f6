/** A place that requests come to, and the finding of it. Exact paths first, then the longest prefix. */
import type { Handler } from "./http.ts";

export interface Route {
  /** `/ready`, or `/assets/*` for everything below. Also the route's name in metrics. */
  readonly path: string;
  readonly method: "GET" | "POST";
  /** Whose data it touches; `none` needs no tenant. */
  readonly access: "read" | "write" | "none";
  /** Changes or reveals the node itself: answered to loopback peers only, unless the listener is the operator's own. */
  readonly isOperator: boolean;
  /** Answered even when the server is full: without it an overload would look like a death. */
  readonly isProbe: boolean;
  readonly handler: Handler;
}

export type Found =
  | { readonly kind: "found"; readonly route: Route }
  | { readonly kind: "not-found" }
  /** The path is there, under these methods. */
  | { readonly kind: "wrong-method"; readonly route: Route; readonly allow: string };

export function route(method: Route["method"], path: string, handler: Handler, more: Partial<Pick<Route, "access" | "isOperator" | "isProbe">> = {}): Route {
  return { path, method, handler, access: "none", isOperator: false, isProbe: false, ...more };
}

export class RouteTable {
  /** Path -> its routes, one a method. */
  readonly #exact: Map<string, Route[]> = new Map();
  /** Longest first. */
  readonly #prefixes: { readonly prefix: string; readonly routes: Route[] }[] = [];

  constructor(routes: readonly Route[]) {
    for (const item of routes) {
      const known = this.#exact.get(item.path) ?? [];
      if (known.some((other) => other.method === item.method)) throw new Error(`two routes for ${item.method} ${item.path}`);
      this.#exact.set(item.path, [...known, item]);
    }
    for (const [path, items] of this.#exact) {
      if (!path.endsWith("/*")) continue;
      this.#exact.delete(path);
      this.#prefixes.push({ prefix: path.slice(0, -1), routes: items });
    }
    this.#prefixes.sort((a, b) => b.prefix.length - a.prefix.length);
  }

  find(method: string, path: string): Found {
    const routes = this.#exact.get(path) ?? this.#prefixes.find(({ prefix }) => path.startsWith(prefix))?.routes;
    if (routes === undefined) return { kind: "not-found" };
    // HEAD is GET whose body the server leaves out, where no query would be run for nothing.
    const found = routes.find((item) => item.method === method || (method === "HEAD" && item.method === "GET" && item.access === "none"));
    if (found !== undefined) return { kind: "found", route: found };
    return { kind: "wrong-method", route: routes[0]!, allow: routes.map((item) => item.method).join(", ") };
  }
}
