/**
 * The part of the Kubernetes API that discovery uses: lists in pages, watches from a version, bookmarks, 410 for versions that it has forgotten,
 * 504 for a list from a version that it has not come to.
 * It answers a `DiscoveryWorld`, without a network.
 */
import type { HttpGet, HttpReply } from "../http/http-get.ts";
import { bytesOf, textReply } from "./discovery-world.ts";

export interface ApiObject {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

interface Change {
  readonly version: number;
  readonly plural: string;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: ApiObject;
}

export class FakeApiServer {
  #version = 100;
  readonly #objects = new Map<string, { readonly plural: string; readonly object: ApiObject }>();
  #changes: Change[] = [];
  /** Changes up to this version are forgotten. */
  #compacted = 0;
  #watches: Watch[] = [];
  /** Answered in place of anything else. */
  refusal: { readonly status: number; readonly message: string } | undefined;
  readonly lists: string[] = [];
  /** Lists that must not be older than a version. */
  readonly checks: string[] = [];
  readonly watchQueries: URLSearchParams[] = [];

  set(plural: string, object: ApiObject): void {
    const key = keyOf(plural, object);
    const type = this.#objects.has(key) ? "MODIFIED" : "ADDED";
    const versioned = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    this.#objects.set(key, { plural, object: versioned });
    this.#publish({ version: this.#version, plural, type, object: versioned });
  }

  delete(plural: string, namespace: string, name: string): void {
    const key = keyOf(plural, { metadata: { namespace, name } });
    const known = this.#objects.get(key);
    if (known === undefined) return;
    this.#objects.delete(key);
    this.#publish({ version: ++this.#version, plural, type: "DELETED", object: { ...known.object, metadata: { ...known.object.metadata, resourceVersion: String(this.#version) } } });
  }

  /** All watches learn the newest version. */
  bookmark(): void {
    for (const watch of this.#watches) watch.push({ type: "BOOKMARK", object: { metadata: { resourceVersion: String(this.#version) } } });
  }

  /** Puts versions and changes back, as a restored backup does. All watches end. */
  restore(version: number): void {
    this.#version = version;
    this.#changes = this.#changes.filter((change) => change.version <= version);
    this.disconnect(new Error("reset"));
  }

  /** All watches end with this error. */
  fail(status: object): void {
    for (const watch of this.#watches) watch.push({ type: "ERROR", object: status });
    this.disconnect();
  }

  /** A watch that begins at an older version than now gets 410. */
  compact(): void {
    this.#compacted = this.#version;
  }

  /** Ends all watches: as a server that restarts, or with an error of the connection. */
  disconnect(error?: Error): void {
    for (const watch of this.#watches) watch.end(error);
    this.#watches = [];
  }

  get watchCount(): number {
    return this.#watches.length;
  }

  readonly answer = (get: HttpGet): HttpReply => {
    if (this.refusal !== undefined) return textReply(this.refusal.status, JSON.stringify({ kind: "Status", message: this.refusal.message }), "application/json");
    const url = new URL(get.url);
    const match = /^\/(?:api\/v1|apis\/discovery\.k8s\.io\/v1)(?:\/namespaces\/([^/]+))?\/([a-z]+)$/.exec(url.pathname);
    if (match === null) return textReply(404, JSON.stringify({ message: "no such path" }), "application/json");
    const [, namespace, plural] = match;
    return url.searchParams.has("watch") ? this.#watch(plural!, namespace, url.searchParams, get.signal) : this.#list(plural!, namespace, url);
  };

  #list(plural: string, namespace: string | undefined, url: URL): HttpReply {
    if (url.searchParams.has("resourceVersionMatch")) {
      this.checks.push(url.search);
      const tooLarge = { kind: "Status", code: 504, message: "Timeout: Too large resource version", details: { causes: [{ reason: "ResourceVersionTooLarge" }] } };
      if (Number(url.searchParams.get("resourceVersion")) > this.#version) return textReply(504, JSON.stringify(tooLarge), "application/json");
    } else this.lists.push(url.pathname + url.search);
    const all = [...this.#objects.values()].filter((known) => known.plural === plural && (namespace ?? known.object.metadata.namespace) === known.object.metadata.namespace).map(({ object }) => object);
    const from = Number(url.searchParams.get("continue") ?? 0);
    const limit = Number(url.searchParams.get("limit"));
    const rest = from + limit < all.length ? { continue: String(from + limit) } : {};
    return textReply(200, JSON.stringify({ metadata: { resourceVersion: String(this.#version), ...rest }, items: all.slice(from, from + limit) }), "application/json");
  }

  #watch(plural: string, namespace: string | undefined, query: URLSearchParams, signal: AbortSignal): HttpReply {
    this.watchQueries.push(query);
    const since = Number(query.get("resourceVersion"));
    const gone = { type: "ERROR", object: { kind: "Status", code: 410, message: "too old resource version" } };
    if (since < this.#compacted) return { status: 200, headers: {}, body: bytesOf([`${JSON.stringify(gone)}\n`]) };
    const watch = new Watch({ plural, namespace, since }, signal);
    for (const change of this.#changes) if (watch.wants(change)) watch.push(change);
    this.#watches.push(watch);
    signal.addEventListener("abort", () => (this.#watches = this.#watches.filter((other) => other !== watch)), { once: true });
    return { status: 200, headers: {}, body: bytesOf(watch.lines()) };
  }

  #publish(change: Change): void {
    this.#changes.push(change);
    for (const watch of this.#watches) if (watch.wants(change)) watch.push(change);
  }
}

interface WatchOf {
  readonly plural: string;
  readonly namespace: string | undefined;
  /** Changes after this version. */
  readonly since: number;
}

class Watch {
  readonly #of: WatchOf;
  readonly #lines: string[] = [];
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(of: WatchOf, signal: AbortSignal) {
    this.#of = of;
    signal.addEventListener("abort", () => this.end(new Error("aborted")), { once: true });
  }

  wants({ version, plural, object }: Change): boolean {
    return version > this.#of.since && plural === this.#of.plural && (this.#of.namespace ?? object.metadata.namespace) === object.metadata.namespace;
  }

  push({ type, object }: { readonly type: string; readonly object: unknown }): void {
    this.#lines.push(`${JSON.stringify({ type, object })}\n`);
    this.#wake?.();
  }

  end(error?: Error): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *lines(): AsyncIterable<string> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) {
        // In two parts, as a network may cut it.
        yield line.slice(0, 7);
        yield line.slice(7);
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function keyOf(plural: string, { metadata }: Pick<ApiObject, "metadata">): string {
  return `${plural}/${metadata.namespace}/${metadata.name}`;
}
