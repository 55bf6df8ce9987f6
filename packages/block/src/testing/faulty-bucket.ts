/** Wraps a bucket and makes its calls fail, for tests of what must survive that. */
import type { Clock } from "@pyromesh/base";
import type { Bucket, BucketObject, ListOptions, PutOptions } from "../bucket/bucket.ts";
import { BucketError, bucketUnavailable } from "../bucket/bucket.ts";

export type BucketOperation = "create" | "check" | "get" | "getRange" | "head" | "put" | "list" | "delete";

export type BucketFault =
  /** Answered with this status and nothing done. */
  | { readonly kind: "status"; readonly status: 403 | 404 | 500 | 503 }
  /** Done, but the reply is lost: what makes a retry meet its own work. */
  | { readonly kind: "lost-reply" }
  /** Done after a wait. */
  | { readonly kind: "slow"; readonly delayMs: number }
  /** Never answered: ends only by the caller's signal. */
  | { readonly kind: "hang" };

export interface BucketCall {
  readonly operation: BucketOperation;
  /** The key, or the prefix of a list. */
  readonly key: string;
  /** Counted from 0 over all calls. */
  readonly number: number;
}

export class FaultyBucket implements Bucket {
  readonly name: string;
  /** Every call so far, in order. */
  readonly calls: BucketCall[] = [];
  readonly #inner: Bucket;
  readonly #clock: Clock;
  #schedule: (call: BucketCall) => BucketFault | undefined = () => undefined;

  constructor(inner: Bucket, modules: { readonly clock: Clock }) {
    this.name = inner.name;
    this.#inner = inner;
    this.#clock = modules.clock;
  }

  /** From now on every call asks `schedule` which fault it meets. */
  schedule(schedule: (call: BucketCall) => BucketFault | undefined): void {
    this.#schedule = schedule;
  }

  /** Every call is answered 503. */
  goDown(): void {
    this.#schedule = () => ({ kind: "status", status: 503 });
  }

  /** Every call works. */
  heal(): void {
    this.#schedule = () => undefined;
  }

  create(signal: AbortSignal): Promise<void> {
    return this.#run("create", "", signal, () => this.#inner.create(signal));
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#run("check", "", signal, () => this.#inner.check(signal));
  }

  get(key: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#run("get", key, signal, () => this.#inner.get(key, signal));
  }

  getRange(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    return this.#run("getRange", key, signal, () => this.#inner.getRange(key, offset, lengthBytes, signal));
  }

  head(key: string, signal: AbortSignal): Promise<BucketObject> {
    return this.#run("head", key, signal, () => this.#inner.head(key, signal));
  }

  put(key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    return this.#run("put", key, signal, () => this.#inner.put(key, bytes, options, signal));
  }

  /** A fault meets each page: a listing can break half way. */
  async *list(prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]> {
    const pages = this.#inner.list(prefix, options, signal)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const page = await this.#run("list", prefix, signal, () => pages.next());
        if (page.done === true) return;
        yield page.value;
      }
    } finally {
      await pages.return?.();
    }
  }

  delete(key: string, signal: AbortSignal): Promise<void> {
    return this.#run("delete", key, signal, () => this.#inner.delete(key, signal));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #run<T>(operation: BucketOperation, key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const call = { operation, key, number: this.calls.length };
    this.calls.push(call);
    const fault = this.#schedule(call);
    switch (fault?.kind) {
      case undefined:
        return work();
      case "status":
        throw errorOf(this.name, operation, key, fault.status);
      case "lost-reply":
        await work();
        throw bucketUnavailable(this.name, operation, key, new Error("the reply was lost"));
      case "slow":
        await this.#clock.sleep(fault.delayMs, signal);
        return work();
      case "hang":
        return new Promise((_resolve, reject) => {
          if (signal.aborted) reject(signal.reason as Error);
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        });
    }
  }
}

function errorOf(bucket: string, operation: BucketOperation, key: string, status: 403 | 404 | 500 | 503): BucketError {
  if (status === 403) return new BucketError("BUCKET_FORBIDDEN", key, `${bucket} does not let us ${operation} ${JSON.stringify(key)}`);
  if (status === 404) {
    const isOfObject = operation === "get" || operation === "getRange" || operation === "head";
    return new BucketError(isOfObject ? "BUCKET_NOT_FOUND" : "BUCKET_MISSING", key, `${bucket} answered 404 for ${JSON.stringify(key)}`);
  }
  return bucketUnavailable(bucket, operation, key, new Error(`status ${status}`));
}
