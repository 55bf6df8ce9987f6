/**
 * Keeps web pages of other sites out, before any handler runs. A browser sends a request wherever a page tells it to, so it proves
 * nothing that a request comes from this machine or from inside the network. There are two rules, both pure; docs/decisions/0012 has the
 * reasons.
 *
 *   Host    Protects against DNS rebinding: an attacker's DNS name that points at this node has the same origin as the node, for the browser,
 *           but the request's `Host` has that name. On a loopback listener `Host` must be a loopback name or address, or one of
 *           `--allowed-hosts`. On other listeners any `Host` is accepted; where `--allowed-hosts` is set, only one of them or the address that
 *           the connection came to (an address is nobody's DNS name).
 *   Origin  A request that may change something (not GET, HEAD or OPTIONS) from a page of another origin is refused, unless `--cors-origins`
 *           names that origin. Pages of named origins may also read replies. Operator routes stay closed to them.
 *
 * What must stay true: clients that are no browsers pass the second rule, since they send neither `Origin` nor `Sec-Fetch-Site`. A
 * request without `Host` (HTTP/1.0) passes the first: every browser sends it.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import { canonicalAddress, HostList, isLoopbackHost, parseHost } from "./host-name.ts";
import type { HostName } from "./host-name.ts";
import type { ApiReply } from "../ports/http.ts";
import type { Route } from "../ports/route.ts";

export interface SiteOptions {
  /** `--allowed-hosts`, each as `parseAllowedHost` returns it. */
  readonly allowedHosts: readonly string[];
  /** `--cors-origins`, each as `parseCorsOrigin` returns it. */
  readonly corsOrigins: readonly string[];
}

/** The part of a request that the rules need. */
export interface SiteRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The value of each `Host` header, and the host of the request's target where that is a whole URL. */
  readonly hosts: readonly string[];
  /** The local address of the connection. */
  readonly localAddress: string | undefined;
}

export class SiteGate {
  readonly #isLoopbackListener: boolean;
  readonly #allowedHosts: HostList;
  readonly #isOpen: boolean;
  readonly #corsOrigins: ReadonlySet<string>;

  /** `listenHost` is the configured host, `listenAddress` the address it resolved to. */
  constructor({ allowedHosts, corsOrigins }: SiteOptions, { listenHost, listenAddress }: { readonly listenHost: string; readonly listenAddress: string }) {
    this.#isLoopbackListener = isLoopbackHost({ name: canonicalAddress(listenAddress), isAddress: true });
    const own = parseHost(listenHost);
    this.#allowedHosts = new HostList(own === undefined || own.isAddress ? allowedHosts : [...allowedHosts, own.name]);
    this.#isOpen = !this.#isLoopbackListener && allowedHosts.length === 0;
    this.#corsOrigins = new Set(corsOrigins);
  }

  /** Throws HOST_NOT_ALLOWED. A probe may name any address as its host: kubelet and the like know only that of the pod. */
  checkHosts(request: Pick<SiteRequest, "hosts" | "localAddress">, isProbe: boolean): void {
    if (this.#isOpen) return;
    for (const text of request.hosts) {
      if (text === "") continue; // like no Host: no browser sends an empty one
      const host = parseHost(text);
      const isProbed = isProbe && !this.#isLoopbackListener && host?.isAddress === true;
      if (host === undefined || !(isProbed || this.#isOwnHost(host, request))) throw this.#hostNotAllowed(text);
    }
  }

  #isOwnHost(host: HostName, request: Pick<SiteRequest, "localAddress">): boolean {
    if (this.#allowedHosts.has(host)) return true;
    if (this.#isLoopbackListener) return isLoopbackHost(host);
    const { localAddress } = request;
    if (localAddress === undefined) return false; // the connection is closed
    const local = canonicalAddress(localAddress);
    return isLoopbackHost({ name: local, isAddress: true }) ? isLoopbackHost(host) : host.isAddress && host.name === local;
  }

  /** Throws CROSS_SITE. */
  checkOrigin(request: SiteRequest, route: Pick<Route, "isOperator"> | undefined): void {
    if (SAFE_METHODS.has(request.method) || !isCrossSite(request)) return;
    if (route?.isOperator !== true && this.#names(request.headers["origin"])) return;
    throw crossSite(request.headers["origin"], route?.isOperator === true);
  }

  /** The headers that let a page of a named origin read the reply. Names and values in turn. */
  corsHeaders({ headers: { origin } }: SiteRequest, route: Pick<Route, "isOperator"> | undefined): readonly string[] {
    if (this.#corsOrigins.size === 0) return NO_HEADERS;
    if (route?.isOperator === true || !this.#names(origin)) return VARY_HEADERS; // a cache must not serve this reply to a named origin
    return [...VARY_HEADERS, "access-control-allow-origin", this.#corsOrigins.has("*") ? "*" : origin!, "access-control-expose-headers", "*"];
  }

  /** The reply to a CORS preflight request; undefined for any other request. Throws CROSS_SITE. */
  preflight({ method, headers }: SiteRequest, route: Pick<Route, "isOperator"> | undefined): ApiReply | undefined {
    const { origin } = headers;
    if (method !== "OPTIONS" || origin === undefined || headers["access-control-request-method"] === undefined) return undefined;
    const isOperator = route?.isOperator === true;
    if (isOperator || !this.#names(origin)) throw crossSite(origin, isOperator);
    const asked = headers["access-control-request-headers"] ?? "";
    return {
      status: 204,
      headers: {
        "access-control-allow-methods": "GET, HEAD, POST",
        // All headers that the page asks for: a named origin may push and query, and no header allows more than that. There is no
        // allow-credentials: a node has no logins.
        ...(asked === "" ? {} : { "access-control-allow-headers": asked }),
        "access-control-max-age": String(PREFLIGHT_SECONDS),
      },
      body: "",
    };
  }

  #names(origin: string | undefined): boolean {
    if (origin === undefined || this.#corsOrigins.size === 0) return false;
    return this.#corsOrigins.has("*") || this.#corsOrigins.has(canonicalOrigin(origin) ?? "");
  }

  #hostNotAllowed(text: string): CodedError {
    const own = this.#isLoopbackListener ? "as localhost or 127.0.0.1" : "by a name of --allowed-hosts, or by its address";
    return new CodedError({
      code: "HOST_NOT_ALLOWED",
      kind: "permission_denied",
      message: `this node does not answer to the Host ${quote(text)}: ask for it ${own}, or add the name to --allowed-hosts`,
    });
  }
}

/** `rawHeaders`: names and values in turn, as they came. Throws HOST_REPEATED. */
export function hostsOf(rawHeaders: readonly string[], target: string): readonly string[] {
  const hosts: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length === 4 && name.toLowerCase() === "host") hosts.push(rawHeaders[index + 1]!);
  }
  if (hosts.length > 1) throw invalidArgument("HOST_REPEATED", "the request has several Host headers: send one");
  if (!target.startsWith("/")) {
    const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(target)?.[1];
    if (authority !== undefined) hosts.push(authority);
  }
  return hosts;
}

/** Undefined where the text is no origin. `null`, which sandboxed pages send, is none. */
function canonicalOrigin(origin: string): string | undefined {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s,*]+$/i.test(origin)) return undefined;
  const url = URL.parse(origin);
  if (url === null) return undefined;
  // For schemes that the URL standard does not know, such as those of browser extensions, URL.origin is "null".
  return url.origin === "null" ? origin.toLowerCase() : url.origin;
}

/** The canonical form of one entry of `--cors-origins`. Throws an error that says how to write it. */
export function parseCorsOrigin(text: string): string {
  const origin = text === "*" ? text : canonicalOrigin(text);
  if (origin === undefined) throw new Error(`${JSON.stringify(text)} is not the origin of a site: write it as https://grafana.example.org or http://localhost:3000, without a path, or as * for every site`);
  return origin;
}

/** These change nothing, whoever sends them, and a page cannot read the reply without CORS headers. */
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** How long a browser may cache the reply to a preflight request. */
const PREFLIGHT_SECONDS = 600;

const NO_HEADERS: readonly string[] = [];
const VARY_HEADERS: readonly string[] = ["vary", "origin"];

/**
 * Trusts what the browser says. `Sec-Fetch-Site` is its own comparison with the address it asked, and holds behind a proxy that rewrites
 * `Host`. Browsers send it only to https and to this machine. Elsewhere `Origin` is compared with `Host`, or with the `X-Forwarded-Host`
 * of such a proxy; a page cannot set either on a request to another site without a preflight, which is refused. Schemes are not compared,
 * since a proxy may end TLS.
 */
function isCrossSite({ headers, hosts }: SiteRequest): boolean {
  const { origin } = headers;
  const site = headers["sec-fetch-site"];
  if (site === "same-origin") return false;
  if (site !== undefined && site !== "none") return true; // `same-site` too: another port of this machine is another page
  if (origin === undefined) return false;
  const forwarded = (headers["x-forwarded-host"] ?? "").split(",").map((text) => text.trim());
  return ![...hosts, ...forwarded].some((host) => isOriginAt(origin, host));
}

const PORT_BY_SCHEME: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

function isOriginAt(origin: string, hostText: string): boolean {
  const url = URL.parse(origin);
  const schemePort = url === null ? undefined : PORT_BY_SCHEME[url.protocol];
  if (url === null || schemePort === undefined) return false;
  const [page, host] = [parseHost(url.host), parseHost(hostText)];
  return page !== undefined && host !== undefined && page.name === host.name && (page.port ?? schemePort) === (host.port ?? schemePort);
}

function crossSite(origin: string | undefined, isOperator: boolean): CodedError {
  const whose = origin === undefined || origin === "null" ? "a web page of another site" : `a web page of ${quote(origin)}`;
  const message = isOperator ? `this request comes from ${whose}, and no page but the node's own may do this, whatever --cors-origins names: use a command line` : `this request comes from ${whose}: name its origin in --cors-origins to let it push and query`;
  return new CodedError({ code: "CROSS_SITE", kind: "permission_denied", message });
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
