/**
 * Counts and times the requests to another bucket: what an operator pays for, and what is slow.
 *
 * What must stay true: it answers exactly as the bucket inside does. Each page of a list counts as a request; a range of no bytes and the
 * end of a list that had pages make none. A call with its retries inside an engine counts as one.
 */
import type { Clock, Counter, Histogram, Metrics } from "@pyromesh/base";
import type { Bucket, BucketErrorCode, BucketObject, ListOptions, PutOptions } from "./bucket.ts";
import { isBucketError } from "./bucket.ts";

export class MeteredBucket implements Bucket {
  readonly name: string;
  readonly #inner: Bucket;
  readonly #clock: Clock;
  readonly #requests: Counter;
  readonly #seconds: Histogram;
  readonly #bytesIn: Counter;
  readonly #bytesOut: Counter;

  constructor(inner: Bucket, modules: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.name = inner.name;
    this.#inner = inner;
    this.#clock = modules.clock;
    const { metrics } = modules;
    this.#requests = metrics.counter("pyromesh_bucket_requests_total", "Requests to the bucket, by how they ended.", ["operation", "outcome"]);
    this.#seconds = metrics.histogram("pyromesh_bucket_request_duration_seconds", "Time of one request to the bucket, retries included.", ["operation"], DURATION_EDGES);
    this.#bytesIn = metrics.counter("pyromesh_bucket_read_bytes_total", "Bytes of objects that came from the bucket.", ["operation"]);
    this.#bytesOut = metrics.counter("pyromesh_bucket_written_bytes_total", "Bytes of objects that the bucket took.", ["operation"]);
  }

  create(signal: AbortSignal): Promise<void> {
    return this.#inner.create(signal);
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#meter("check", signal, () => this.#inner.check(signal));
  }

  async get(key: string, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#meter("get", signal, () => this.#inner.get(key, signal));
    this.#bytesIn.add({ operation: "get" }, bytes.length);
    return bytes;
  }

  async getRange(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    if (lengthBytes === 0) return this.#inner.getRange(key, offset, lengthBytes, signal);
    const bytes = await this.#meter("get_range", signal, () => this.#inner.getRange(key, offset, lengthBytes, signal));
    this.#bytesIn.add({ operation: "get_range" }, bytes.length);
    return bytes;
  }

  head(key: string, signal: AbortSignal): Promise<BucketObject> {
    return this.#meter("head", signal, () => this.#inner.head(key, signal));
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    const put = await this.#meter("put", signal, () => this.#inner.put(key, bytes, options, signal), ({ isCreated }) => (isCreated ? "ok" : "exists"));
    if (put.isCreated) this.#bytesOut.add({ operation: "put" }, bytes.length);
    return put;
  }

  async *list(prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]> {
    const pages = this.#inner.list(prefix, options, signal)[Symbol.asyncIterator]();
    try {
      for (let pageCount = 0; ; pageCount++) {
        const page = await this.#meter("list", signal, () => pages.next(), ({ done }) => (done === true && pageCount > 0 ? undefined : "ok"));
        if (page.done === true) return;
        yield page.value;
      }
    } finally {
      await pages.return?.();
    }
  }

  delete(key: string, signal: AbortSignal): Promise<void> {
    return this.#meter("delete", signal, () => this.#inner.delete(key, signal));
  }

  dateMs(signal: AbortSignal): Promise<number | undefined> {
    return this.#inner.dateMs === undefined ? Promise.resolve(undefined) : this.#meter("date", signal, () => this.#inner.dateMs!(signal)); // looked at just before
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** `outcomeOf` undefined: it was no request. */
  async #meter<T>(operation: Operation, signal: AbortSignal, ask: () => Promise<T>, outcomeOf: (answer: T) => "ok" | "exists" | undefined = () => "ok"): Promise<T> {
    const startMs = this.#clock.monotonicMs();
    const end = (outcome: string): void => {
      this.#requests.add({ operation, outcome });
      this.#seconds.observe({ operation }, (this.#clock.monotonicMs() - startMs) / 1000);
    };
    try {
      const answer = await ask();
      const outcome = outcomeOf(answer);
      if (outcome !== undefined) end(outcome);
      return answer;
    } catch (thrown) {
      end(failureOf(thrown, signal));
      throw thrown;
    }
  }
}

type Operation = "check" | "get" | "get_range" | "head" | "put" | "list" | "delete" | "date";

/** Seconds: from a read of a folder to a put of half a gigabyte with all its retries. */
const DURATION_EDGES = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const OUTCOME_OF: Readonly<Record<BucketErrorCode, string>> = {
  BUCKET_NOT_FOUND: "not_found",
  BUCKET_MISSING: "bucket_missing",
  BUCKET_FORBIDDEN: "forbidden",
  BUCKET_UNAVAILABLE: "unavailable",
  BUCKET_RANGE_OUTSIDE: "range_outside",
  BUCKET_OBJECT_TOO_LARGE: "too_large",
  BUCKET_KEY_INVALID: "key_invalid",
};

function failureOf(thrown: unknown, signal: AbortSignal): string {
  if (isBucketError(thrown)) return OUTCOME_OF[thrown.code];
  return signal.aborted ? "canceled" : "error";
}
