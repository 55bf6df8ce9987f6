/** A route, and the table that finds the route of a request. An exact path wins over a prefix, and a longer prefix over a shorter one. */
import type { Handler } from "./http.ts";
import type { StreamHandler } from "./stream-call.ts";

export interface Route {
  /** `/ready`, or `/assets/*` for everything below it. Metrics use it as the route's name. */
  readonly path: string;
  readonly method: "GET" | "POST";
  /** How the route uses a tenant's data. `none`: the request needs no tenant. */
  readonly access: "read" | "write" | "none";
  /** The route changes or reveals the node itself. Only loopback peers may use it, except on a listener of the operator's own. */
  readonly isOperator: boolean;
  /** The route is answered while the server is at its limit too: a supervisor would take an overloaded node for a dead one otherwise. */
  readonly isProbe: boolean;
  /** The handler is a unary call of Connect. Other protocols are adapters around it (rpc/protocols.ts). */
  readonly isRpc: boolean;
  readonly handler: Handler;
  /** The call has several messages: it is this over gRPC, and `handler` over what has no such calls. */
  readonly stream?: StreamHandler;
}

export type Found =
  | { readonly kind: "found"; readonly route: Route }
  | { readonly kind: "not-found" }
  /** The path exists, with the methods in `allow`. */
  | { readonly kind: "wrong-method"; readonly route: Route; readonly allow: string };

export function route(method: Route["method"], path: string, handler: Handler, more: Partial<Pick<Route, "access" | "isOperator" | "isProbe" | "isRpc">> = {}): Route {
  return { path, method, handler, access: "none", isOperator: false, isProbe: false, isRpc: false, ...more };
}

export class RouteTable {
  /** Path -> its routes, one for each method. */
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
    // HEAD runs the GET handler and the server omits the body. Not for routes that run a query, whose result would be thrown away.
    const found = routes.find((item) => item.method === method || (method === "HEAD" && item.method === "GET" && item.access === "none"));
    if (found !== undefined) return { kind: "found", route: found };
    return { kind: "wrong-method", route: routes[0]!, allow: routes.map((item) => item.method).join(", ") };
  }
}
