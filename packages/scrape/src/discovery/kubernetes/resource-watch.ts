/**
 * All objects of one kind in one namespace, or in all, kept up to date: listed in pages, then watched from the version of the list on.
 *
 * What must stay true: no change is lost. A watch goes on from the version that was seen last; where the server does not know it any more (410),
 * everything is listed anew, and what is not there then is gone. What cannot be reached keeps its last objects.
 */
import { messageOf, retryDelayMs } from "@pyromesh/base";
import type { DiscoveryModules } from "../discovery.ts";
import type { ApiClient } from "./api-client.ts";
import { GoneError } from "./api-client.ts";
import { field, list, objectKey, resourceVersionOf, text } from "./objects.ts";
import type { ObjectMeta } from "./objects.ts";

export interface ResourceOptions<T> {
  /** `/api/v1/namespaces/prod/pods` */
  readonly path: string;
  /** `labelSelector`, `fieldSelector`. */
  readonly query: Readonly<Record<string, string>>;
  /** Narrows an object. */
  readonly read: (value: unknown) => T;
}

const PAGE_OBJECTS = 100;
/** Of one kind. With more, nothing of the kind is taken over: a selector or namespaces must narrow it. */
export const OBJECTS_MAX = 100_000;
const LIST_TIMEOUT_MS = 60_000;
/** The server ends a watch after so long, and this node somewhat later, so that a connection that is dead is noticed. */
const WATCH_SECONDS = 300;
const WATCH_GRACE_MS = 30_000;
const RETRY = { firstMs: 1000, maxMs: 30_000 };

export class ResourceWatch<T extends { readonly meta: ObjectMeta }> {
  readonly #options: ResourceOptions<T>;
  readonly #api: ApiClient;
  readonly #modules: DiscoveryModules;
  readonly #onChange: () => void;
  readonly #stopped = new AbortController();
  #objects = new Map<string, T>();
  #isListed = false;
  /** Undefined: everything is to be listed. */
  #version: string | undefined;
  #problem: string | undefined;

  constructor(options: ResourceOptions<T>, onChange: () => void, modules: DiscoveryModules & { readonly api: ApiClient }) {
    this.#options = options;
    this.#onChange = onChange;
    this.#modules = modules;
    this.#api = modules.api;
  }

  /** By `namespace/name`. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** Whether all objects were listed once. */
  get isListed(): boolean {
    return this.#isListed;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    const { clock } = this.#modules;
    const stopped = this.#stopped.signal;
    for (let failureCount = 0; !stopped.aborted; ) {
      const beganMs = clock.monotonicMs();
      try {
        if (this.#version === undefined) await this.#list();
        await this.#watch();
        this.#recovered();
        failureCount = 0;
      } catch (thrown) {
        if (stopped.aborted) return;
        if (clock.monotonicMs() - beganMs > RETRY.maxMs) failureCount = 0; // it worked for a while
        if (thrown instanceof GoneError) this.#version = undefined;
        else this.#failed(thrown);
        failureCount++;
      }
      // A server that ends each watch at once is not asked more often than one that fails.
      const isShort = clock.monotonicMs() - beganMs < RETRY.firstMs;
      if (failureCount > 0 || isShort) await clock.sleep(retryDelayMs(Math.max(1, failureCount), RETRY), stopped).catch(() => undefined);
    }
  }

  async #list(): Promise<void> {
    const objects = new Map<string, T>();
    let page: unknown;
    let next = "";
    do {
      const query = { ...this.#options.query, limit: String(PAGE_OBJECTS), ...(next === "" ? {} : { continue: next }) };
      page = await this.#within(LIST_TIMEOUT_MS, "no answer", (signal) => this.#api.get(this.#options.path, query, signal));
      for (const item of list(page, "items")) {
        const object = this.#options.read(item);
        objects.set(objectKey(object), object);
      }
      if (objects.size > OBJECTS_MAX) throw new Error(`${this.#options.path} has more than ${OBJECTS_MAX} objects: narrow it by namespaces or selectors`);
      next = text(field(page, "metadata"), "continue");
    } while (next !== "");
    this.#objects = objects;
    this.#version = resourceVersionOf(page);
    this.#isListed = true;
    this.#recovered();
    this.#onChange();
  }

  /** Returns when the watch has ended by time. */
  async #watch(): Promise<void> {
    const query = { ...this.#options.query, watch: "1", allowWatchBookmarks: "true", resourceVersion: this.#version ?? "", timeoutSeconds: String(WATCH_SECONDS) };
    const isOver = Symbol("over");
    await this.#within(WATCH_SECONDS * 1000 + WATCH_GRACE_MS, isOver, async (signal) => {
      for await (const event of this.#api.lines(this.#options.path, query, signal)) {
        signal.throwIfAborted();
        this.#recovered();
        this.#take(text(event, "type"), field(event, "object"));
      }
    }).catch((thrown: unknown) => {
      if (thrown !== isOver) throw thrown;
    });
  }

  #take(type: string, value: unknown): void {
    switch (type) {
      case "ADDED":
      case "MODIFIED": {
        const object = this.#options.read(value);
        this.#objects.set(objectKey(object), object);
        if (this.#objects.size > OBJECTS_MAX) throw new Error(`${this.#options.path} has more than ${OBJECTS_MAX} objects: narrow it by namespaces or selectors`);
        this.#onChange();
        break;
      }
      case "DELETED":
        if (this.#objects.delete(objectKey(this.#options.read(value)))) this.#onChange();
        break;
      case "BOOKMARK":
        break; // says its version only
      case "ERROR":
        if (field(value, "code") === 410) throw new GoneError(text(value, "message"));
        throw new Error(`the API server ended the watch of ${this.#options.path}: ${text(value, "message").slice(0, 300)}`);
      default:
        return; // of a later version of the API
    }
    const version = resourceVersionOf(value);
    if (version !== "") this.#version = version;
  }

  /** The outcome of `work`, whose signal aborts after `timeoutMs`; it then rejects with `late`. */
  async #within<R>(timeoutMs: number, late: string | symbol, work: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const ended = new AbortController();
    let isLate = false;
    const timer = this.#modules.clock.after(timeoutMs, () => {
      isLate = true;
      ended.abort();
    });
    try {
      return await work(AbortSignal.any([this.#stopped.signal, ended.signal]));
    } catch (thrown) {
      if (isLate) throw typeof late === "string" ? new Error(`${this.#options.path}: ${late} within ${timeoutMs / 1000} s`) : late;
      throw thrown;
    } finally {
      timer.cancel();
      ended.abort();
    }
  }

  #failed(thrown: unknown): void {
    this.#modules.failures.add({ mechanism: "kubernetes" });
    const problem = messageOf(thrown);
    if (problem !== this.#problem) this.#modules.logger.warn("discovery failed; the targets that were known stay", { mechanism: "kubernetes", source: this.#options.path, reason: problem });
    this.#problem = problem;
  }

  #recovered(): void {
    if (this.#problem !== undefined) this.#modules.logger.info("discovery works again", { mechanism: "kubernetes", source: this.#options.path });
    this.#problem = undefined;
  }
}
