/**
 * Keeps web pages of other sites out, before any route is asked. A browser sends a request wherever a page tells it to, so being on this
 * machine, or inside the network, says nothing about who asks. Two rules; both are pure. docs/decisions/0012 says why they are so.
 *
 *   Host    A page whose DNS name is pointed at this node ("DNS rebinding") is of one origin with it, for the browser. Its `Host` gives it
 *           away: on a loopback listener `Host` is a loopback name or address, or one of `--allowed-hosts`. On another listener any, or
 *           where `--allowed-hosts` is set one of them, or the address that the connection came to: an address is nobody's DNS name.
 *   Origin  A request that may change something (no GET, HEAD or OPTIONS) from a page of another origin is refused, unless `--cors-origins`
 *           names that origin. The named ones may also read the replies; what an operator does stays closed to them.
 *
 * What must stay true: who is no browser is not touched by the second rule, since it sends neither `Origin` nor `Sec-Fetch-Site`. Without
 * `Host` (HTTP/1.0) a request passes the first: no browser leaves it out.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import { canonicalAddress, HostList, isLoopbackHost, parseHost } from "./host-name.ts";
import type { HostName } from "./host-name.ts";
import type { ApiReply } from "../ports/http.ts";
import type { Route } from "../ports/route.ts";

export interface SiteOptions {
  /** `--allowed-hosts`, each as `parseAllowedHost` gives it. */
  readonly allowedHosts: readonly string[];
  /** `--cors-origins`, each as `parseCorsOrigin` gives it. */
  readonly corsOrigins: readonly string[];
}

/** What the rules look at. */
export interface Visit {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of every `Host` header, and of the request's target where that is a whole URL. */
  readonly hosts: readonly string[];
  /** The address that the connection came to. */
  readonly localAddress: string | undefined;
}

export class SiteGate {
  readonly #isLoopbackListener: boolean;
  readonly #allowedHosts: HostList;
  readonly #isOpen: boolean;
  readonly #corsOrigins: ReadonlySet<string>;

  /** `listenHost` is what the listener was told to listen on, `listenAddress` what that turned out to be. */
  constructor({ allowedHosts, corsOrigins }: SiteOptions, { listenHost, listenAddress }: { readonly listenHost: string; readonly listenAddress: string }) {
    this.#isLoopbackListener = isLoopbackHost({ name: canonicalAddress(listenAddress), isAddress: true });
    const own = parseHost(listenHost);
    this.#allowedHosts = new HostList(own === undefined || own.isAddress ? allowedHosts : [...allowedHosts, own.name]);
    this.#isOpen = !this.#isLoopbackListener && allowedHosts.length === 0;
    this.#corsOrigins = new Set(corsOrigins);
  }

  /** Throws HOST_NOT_ALLOWED. Probes are answered under any address: what checks a pod knows no name of it. */
  checkHosts(visit: Pick<Visit, "hosts" | "localAddress">, isProbe: boolean): void {
    if (this.#isOpen) return;
    for (const text of visit.hosts) {
      if (text === "") continue; // as none: no browser sends it
      const host = parseHost(text);
      const isProbed = isProbe && !this.#isLoopbackListener && host?.isAddress === true;
      if (host === undefined || !(isProbed || this.#isOwnHost(host, visit))) throw this.#hostNotAllowed(text);
    }
  }

  #isOwnHost(host: HostName, visit: Pick<Visit, "localAddress">): boolean {
    if (this.#allowedHosts.has(host)) return true;
    if (this.#isLoopbackListener) return isLoopbackHost(host);
    const { localAddress } = visit;
    if (localAddress === undefined) return false; // the connection is gone
    const local = canonicalAddress(localAddress);
    return isLoopbackHost({ name: local, isAddress: true }) ? isLoopbackHost(host) : host.isAddress && host.name === local;
  }

  /** Throws CROSS_SITE. */
  checkOrigin(visit: Visit, route: Pick<Route, "isOperator"> | undefined): void {
    if (SAFE_METHODS.has(visit.method) || !isCrossSite(visit)) return;
    if (route?.isOperator !== true && this.#names(visit.headers["origin"])) return;
    throw crossSite(visit.headers["origin"], route?.isOperator === true);
  }

  /** What a named site's page needs to read the reply. Names and values in turn. */
  corsHeaders({ headers: { origin } }: Visit, route: Pick<Route, "isOperator"> | undefined): readonly string[] {
    if (this.#corsOrigins.size === 0) return NO_HEADERS;
    if (route?.isOperator === true || !this.#names(origin)) return VARY_HEADERS; // a cache must not give its reply to a named site
    return [...VARY_HEADERS, "access-control-allow-origin", this.#corsOrigins.has("*") ? "*" : origin!, "access-control-expose-headers", "*"];
  }

  /** The reply to a browser that asks whether a page may send a request; undefined where it does not ask that. Throws CROSS_SITE. */
  preflight({ method, headers }: Visit, route: Pick<Route, "isOperator"> | undefined): ApiReply | undefined {
    const { origin } = headers;
    if (method !== "OPTIONS" || origin === undefined || headers["access-control-request-method"] === undefined) return undefined;
    const isOperator = route?.isOperator === true;
    if (isOperator || !this.#names(origin)) throw crossSite(origin, isOperator);
    const asked = headers["access-control-request-headers"] ?? "";
    return {
      status: 204,
      headers: {
        "access-control-allow-methods": "GET, HEAD, POST",
        // Whatever it asks for: the site is trusted to push and to query, and no header allows more than that. Never credentials: a node knows none.
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

/** Throws HOST_REPEATED. `rawHeaders`: names and values in turn, as they came. */
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

/** Undefined where it is none; `null` is no site. */
function canonicalOrigin(origin: string): string | undefined {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s,*]+$/i.test(origin)) return undefined;
  const url = URL.parse(origin);
  if (url === null) return undefined;
  // Schemes that the URL standard does not know, such as a browser extension's, have no origin there.
  return url.origin === "null" ? origin.toLowerCase() : url.origin;
}

/** One entry of `--cors-origins` in its one spelling. Throws a sentence that says how to write it. */
export function parseCorsOrigin(text: string): string {
  const origin = text === "*" ? text : canonicalOrigin(text);
  if (origin === undefined) throw new Error(`${JSON.stringify(text)} is no origin of a site: write it as https://grafana.example.org or http://localhost:3000, without a path, or as * for every site`);
  return origin;
}

/** These change nothing here, whatever page sends them, and without CORS headers the page cannot read the reply. */
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** How long a browser may remember the answer to a preflight. */
const PREFLIGHT_SECONDS = 600;

const NO_HEADERS: readonly string[] = [];
const VARY_HEADERS: readonly string[] = ["vary", "origin"];

/**
 * As far as the browser says. `Sec-Fetch-Site` is its own judgement, by the address that it asked: right behind a proxy that rewrites
 * `Host`, too. It is sent to https and to this machine only, so elsewhere the origin is compared with `Host`, or with `X-Forwarded-Host`
 * of such a proxy. A page cannot set either on a request to another site: a browser would ask first, and be refused. Schemes are not
 * compared, since a proxy may end TLS.
 */
function isCrossSite({ headers, hosts }: Visit): boolean {
  const { origin } = headers;
  const site = headers["sec-fetch-site"];
  if (site === "same-origin") return false;
  if (site !== undefined && site !== "none") return true; // `same-site` as well: another port of this machine is another page
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
