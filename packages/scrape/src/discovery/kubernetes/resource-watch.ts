/**
 * All objects of one kind in one namespace, or in all, kept up to date: listed in pages, then watched from the version of the list on.
 *
 * What must stay true: no change is lost. A watch goes on from the version that was seen last; where the server does not know it any more (410),
 * ends the watch with another error, or has been put back to a time before that version, everything is listed anew, and what is not there then is
 * gone. What cannot be reached keeps its last objects.
 */
import { retryDelayMs } from "@pyromesh/base";
import type { Timer } from "@pyromesh/base";
import type { DiscoveryModules } from "../discovery.ts";
import { SourceHealth } from "../source-health.ts";
import type { ApiClient } from "./api-client.ts";
import { GoneError, RefusedError } from "./api-client.ts";
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
/** The server ends a watch after so long, and not much before, unless something is wrong. */
const WATCH_SECONDS = 300;
const WATCH_MS_MIN = 270_000;
/** Of a watch, which is answered at once and sends its events later, and of the check of a version. */
const ANSWER_TIMEOUT_MS = 30_000;
/** The server sends a bookmark each minute. A watch that is silent for longer than two is begun anew: its connection may be dead, or the server hang. */
const SILENCE_MS = 150_000;
const RETRY = { firstMs: 1000, maxMs: 30_000 };

export class ResourceWatch<T extends { readonly meta: ObjectMeta }> {
  readonly #options: ResourceOptions<T>;
  readonly #api: ApiClient;
  readonly #modules: DiscoveryModules;
  readonly #onChange: () => void;
  readonly #health: SourceHealth;
  readonly #stopped = new AbortController();
  #objects = new Map<string, T>();
  #isListed = false;
  /** Undefined: everything is to be listed. */
  #version: string | undefined;

  constructor(options: ResourceOptions<T>, onChange: () => void, modules: DiscoveryModules & { readonly api: ApiClient }) {
    this.#options = options;
    this.#onChange = onChange;
    this.#modules = modules;
    this.#api = modules.api;
    this.#health = new SourceHealth({ mechanism: "kubernetes", source: options.path }, modules);
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
    let hasEndedInTime = false;
    for (let failureCount = 0; !stopped.aborted; ) {
      const beganMs = clock.monotonicMs();
      const isListedNow = this.#version === undefined;
      let retryAfterMs = 0;
      try {
        if (this.#version === undefined) await this.#list();
        else if (!hasEndedInTime) await this.#checkVersion(this.#version);
        hasEndedInTime = false;
        await this.#watch();
        hasEndedInTime = clock.monotonicMs() - beganMs >= WATCH_MS_MIN;
        this.#health.works();
        failureCount = 0;
      } catch (thrown) {
        if (stopped.aborted) return;
        if (clock.monotonicMs() - beganMs > RETRY.maxMs) failureCount = 0; // it worked for a while
        if (thrown instanceof GoneError) this.#version = undefined;
        if (thrown instanceof GoneError && !isListedNow) {
          failureCount = 0;
          continue; // a server that was started again has forgotten the versions before: the list is not put off
        }
        this.#health.failed(thrown);
        if (thrown instanceof RefusedError) ({ retryAfterMs } = thrown);
        failureCount++;
      }
      // A server that ends each watch at once is not asked more often than one that fails.
      const isShort = clock.monotonicMs() - beganMs < RETRY.firstMs;
      if (failureCount > 0 || isShort) await clock.sleep(Math.max(retryDelayMs(Math.max(1, failureCount), RETRY), retryAfterMs), stopped).catch(() => undefined);
    }
  }

  async #list(): Promise<void> {
    const objects = new Map<string, T>();
    let page: unknown;
    let next = "";
    do {
      const query = { ...this.#options.query, limit: String(PAGE_OBJECTS), ...(next === "" ? {} : { continue: next }) };
      page = await this.#within(LIST_TIMEOUT_MS, (signal) => this.#api.get(this.#options.path, query, signal));
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
    this.#health.works();
    this.#onChange();
  }

  /**
   * Throws `GoneError` where the server's versions have not come to this one, as after its data was restored from a backup. It would take a watch
   * from there, and keep silent about all changes until its versions have passed this one. Where they have passed it before this node asks, nobody
   * can tell; for that etcd can raise its versions when it restores.
   */
  async #checkVersion(version: string): Promise<void> {
    const query = { ...this.#options.query, limit: "1", resourceVersion: version, resourceVersionMatch: "NotOlderThan" };
    await this.#within(ANSWER_TIMEOUT_MS, (signal) => this.#api.get(this.#options.path, query, signal));
  }

  /** Returns when the watch has ended by time, or was silent. */
  async #watch(): Promise<void> {
    const query = { ...this.#options.query, watch: "1", allowWatchBookmarks: "true", resourceVersion: this.#version ?? "", timeoutSeconds: String(WATCH_SECONDS) };
    const ended = new AbortController();
    const signal = AbortSignal.any([this.#stopped.signal, ended.signal]);
    let silence: Timer | undefined;
    const isHeard = (): void => {
      silence?.cancel();
      silence = this.#modules.clock.after(SILENCE_MS, () => ended.abort());
    };
    try {
      // Its connection lives on behind the answer: the signal of the answer must not end with it.
      const events = await this.#within(ANSWER_TIMEOUT_MS, (late) => this.#api.lines(this.#options.path, query, AbortSignal.any([signal, late])));
      this.#health.works();
      isHeard();
      for await (const event of events) {
        signal.throwIfAborted();
        isHeard();
        this.#take(text(event, "type"), field(event, "object"));
      }
    } catch (thrown) {
      if (!ended.signal.aborted) throw thrown;
    } finally {
      silence?.cancel();
      ended.abort();
    }
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
        this.#version = undefined; // it may be the version that the server cannot serve
        throw new Error(`the API server ended the watch of ${this.#options.path}: ${text(value, "message").slice(0, 300)}`);
      default:
        return; // of a later version of the API
    }
    const version = resourceVersionOf(value);
    if (version !== "") this.#version = version;
  }

  /** The outcome of `work`, whose signal aborts after `timeoutMs`; it then rejects. */
  async #within<R>(timeoutMs: number, work: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const late = new AbortController();
    const timer = this.#modules.clock.after(timeoutMs, () => late.abort());
    try {
      return await work(AbortSignal.any([this.#stopped.signal, late.signal]));
    } catch (thrown) {
      throw late.signal.aborted ? new Error(`${this.#options.path}: no answer within ${timeoutMs / 1000} s`, { cause: thrown }) : thrown;
    } finally {
      timer.cancel();
    }
  }
}
