/**
 * A bucket on S3 or a store with its API (Ceph, MinIO, R2, ...). Only this file imports the S3 client. It is loaded when an `s3://` bucket
 * is opened, since it takes 100 ms and 24 MB.
 *
 * What must stay true: every request ends, by its time limit or the caller's signal. All retries are made here, bounded and with random
 * waits; the client's own are off, or tries and waits would multiply. A body is read into one buffer of the size that its headers state.
 * Nothing relies on a checksum header or on conditional puts.
 */
import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { Readable } from "node:stream";
import type { GetObjectCommandOutput, ListObjectsV2CommandInput } from "@aws-sdk/client-s3";
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { Clock, Logger, Random } from "@pyromesh/base";
import { messageOf } from "@pyromesh/base";
import type { Bucket, BucketObject, ListOptions, PutOptions } from "./bucket.ts";
import { BucketError, bucketUnavailable, checkKey, checkObjectSize, objectNotFound, rangeOutside } from "./bucket.ts";
import { parseListPage } from "./list-page.ts";
import type { Page, PageRequest } from "./paged-list.ts";
import { pagedList } from "./paged-list.ts";

export interface S3BucketOptions {
  readonly bucket: string;
  /** "" or a key prefix without slashes at its ends. */
  readonly prefix: string;
  /** `http://host:port`; undefined: AWS itself. */
  readonly endpoint: string | undefined;
  /** Undefined: from the AWS default chain, else us-east-1. */
  readonly region: string | undefined;
  /** `endpoint/bucket/key` in place of `bucket.endpoint/key`. */
  readonly isPathStyle: boolean;
  readonly connectTimeoutMs?: number;
  /** For the reply's headers, and again between two pieces of a body. A put gets a second more for each MiB sent. */
  readonly requestTimeoutMs?: number;
  /** How often one call is tried in all. At the bound the last error is BUCKET_UNAVAILABLE. */
  readonly triesMax?: number;
  readonly backoffMs?: number;
}

export interface S3BucketModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const CONNECT_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 10_000;
const TRIES_MAX = 4;
/** Waits are random, up to 100, 200 and 400 ms: enough for a dropped connection. An outage is for the caller to wait out. */
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 2_000;
/** At the bound further requests wait inside the client for a socket. */
const SOCKET_COUNT_MAX = 64;
/** Hashed in one go: MD5 and SHA-256 of one MiB take about 4 ms, and the event loop should not be held for longer. */
const HASH_CHUNK_BYTES = 2 ** 20;

export class S3Bucket implements Bucket {
  readonly name: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #requestTimeoutMs: number;
  readonly #triesMax: number;
  readonly #backoffMs: number;
  /** False once the store has answered 501 to an If-None-Match. */
  #takesConditions = true;

  constructor(options: S3BucketOptions, modules: S3BucketModules) {
    this.name = `s3://${options.bucket}${options.prefix === "" ? "" : `/${options.prefix}`}`;
    this.#bucket = options.bucket;
    this.#prefix = options.prefix === "" ? "" : `${options.prefix}/`;
    this.#clock = modules.clock;
    this.#random = modules.random;
    this.#logger = modules.logger;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#triesMax = options.triesMax ?? TRIES_MAX;
    this.#backoffMs = options.backoffMs ?? BACKOFF_MS;
    // The client warns on standard error of Node versions it will leave behind; ours is fixed by package.json's engines.
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
    this.#client = new S3Client({
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
      region: options.region ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? "us-east-1",
      forcePathStyle: options.isPathStyle,
      maxAttempts: 1,
      // Trailing checksums and aws-chunked bodies break on half of the stores (Ceph answers 411): Content-MD5 serves all.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: {
        connectionTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
        httpAgent: { keepAlive: true, maxSockets: SOCKET_COUNT_MAX },
        httpsAgent: { keepAlive: true, maxSockets: SOCKET_COUNT_MAX },
      },
    });
  }

  async create(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  async check(signal: AbortSignal): Promise<void> {
    for await (const _page of this.list("", { limit: 1 }, signal)) return;
  }

  async get(key: string, signal: AbortSignal): Promise<Uint8Array> {
    checkKey(key);
    return this.#trying("read", key, 0, signal, async (stallTimeout) => {
      const reply = await this.#client.send(new GetObjectCommand(this.#at(key)), { abortSignal: stallTimeout.signal });
      return readBody(this.name, key, reply, stallTimeout);
    });
  }

  async getRange(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    checkKey(key);
    checkObjectSize(this.name, key, lengthBytes);
    if (lengthBytes === 0) return new Uint8Array(0);
    return this.#trying("read", key, 0, signal, async (stallTimeout) => {
      const range = { Range: `bytes=${offset}-${offset + lengthBytes - 1}` };
      const reply = await this.#client.send(new GetObjectCommand({ ...this.#at(key), ...range }), { abortSignal: stallTimeout.signal });
      if (reply.ContentLength !== lengthBytes) {
        bodyOf(reply).destroy();
        // A store cuts a range off at the object's end; one that ignores ranges sends all of it.
        const sizeBytes = reply.ContentRange === undefined ? reply.ContentLength : Number(reply.ContentRange.split("/")[1]);
        if (sizeBytes !== undefined && sizeBytes < offset + lengthBytes) throw rangeOutside(this.name, key, offset, lengthBytes, sizeBytes);
        throw new Error(`asked for ${lengthBytes} bytes of a range, was sent ${reply.ContentLength}`);
      }
      return readBody(this.name, key, reply, stallTimeout);
    }, (error) => (statusOf(error) === 416 ? rangeOutside(this.name, key, offset, lengthBytes, undefined) : undefined));
  }

  async head(key: string, signal: AbortSignal): Promise<BucketObject> {
    checkKey(key);
    return this.#trying("find", key, 0, signal, async ({ signal: abortSignal }) => {
      const reply = await this.#client.send(new HeadObjectCommand(this.#at(key)), { abortSignal });
      return { key, sizeBytes: reply.ContentLength ?? 0, lastModifiedMs: reply.LastModified?.getTime() ?? 0 };
    });
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    checkKey(key);
    checkObjectSize(this.name, key, bytes.length);
    const hashes = await this.#hash(bytes, signal);
    if (options.ifAbsent !== true) return this.#putOnce(key, bytes, hashes, false, signal);
    if (this.#takesConditions) {
      try {
        return await this.#putOnce(key, bytes, hashes, true, signal);
      } catch (error) {
        if (!(error instanceof ConditionsRefused)) throw error;
        if (this.#takesConditions) this.#logger.warn("the bucket takes no conditional puts: looking before each put instead", { bucket: this.name });
        this.#takesConditions = false;
      }
    }
    try {
      await this.head(key, signal);
      return { isCreated: false };
    } catch (error) {
      if (!(error instanceof BucketError && error.code === "BUCKET_NOT_FOUND")) throw error;
    }
    return this.#putOnce(key, bytes, hashes, false, signal);
  }

  async #putOnce(key: string, bytes: Uint8Array, hashes: Hashes, ifAbsent: boolean, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    try {
      await this.#trying("keep", key, bytes.length, signal, async ({ signal: abortSignal }) => {
        const command = new PutObjectCommand({
          ...this.#at(key),
          Body: bytes,
          ContentLength: bytes.length,
          ContentMD5: hashes.md5Base64,
          ContentType: "application/octet-stream",
          ...(ifAbsent ? { IfNoneMatch: "*" } : {}),
        });
        // The signer takes this for the payload's hash, which it would otherwise make in one go on the event loop.
        command.middlewareStack.add(
          (next) => (step) => {
            const { request } = step as { readonly request: { readonly headers: Record<string, string> } }; // the build step's shape
            request.headers["x-amz-content-sha256"] = hashes.sha256Hex;
            return next(step);
          },
          { step: "build", name: "payloadHash" },
        );
        await this.#client.send(command, { abortSignal });
      }, (error) => {
        if (!ifAbsent) return undefined;
        if (statusOf(error) === 412) return new NameTaken();
        return statusOf(error) === 501 ? new ConditionsRefused() : undefined;
      });
      return { isCreated: true };
    } catch (error) {
      if (error instanceof NameTaken) return { isCreated: false };
      throw error;
    }
  }

  list(prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]> {
    const fetchPage = (request: PageRequest): Promise<Page> => this.#fetchPage(prefix, request, signal);
    return pagedList(fetchPage, { ...options, bucket: this.name, prefix });
  }

  /** One page, with the bucket's own keys. */
  async #fetchPage(prefix: string, { startAfter, token, lengthMax }: PageRequest, signal: AbortSignal): Promise<Page> {
    const input: ListObjectsV2CommandInput = {
      Bucket: this.#bucket,
      Prefix: this.#prefix + prefix,
      MaxKeys: lengthMax,
      ...(startAfter === "" ? {} : { StartAfter: this.#prefix + startAfter }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
    };
    const page = await this.#trying("list", prefix, 0, signal, (stallTimeout) => this.#listPage(input, stallTimeout));
    if (this.#prefix === "") return page;
    const objects: BucketObject[] = [];
    for (const object of page.objects) {
      if (!object.key.startsWith(this.#prefix)) {
        throw bucketUnavailable(this.name, "list", prefix, new Error(`it listed ${JSON.stringify(object.key)}, which is not below ${JSON.stringify(this.#prefix)}`));
      }
      const key = ownText(object.key, this.#prefix.length);
      if (key !== "") objects.push({ ...object, key }); // "" is a folder marker that some tools leave at the prefix itself
    }
    return { ...page, objects };
  }

  /** An answer that does not say whether it is the last page is none: an empty one would look like an empty bucket. */
  async #listPage(input: ListObjectsV2CommandInput, stallTimeout: StallTimeout): Promise<Page> {
    const command = new ListObjectsV2Command(input);
    let own: readonly BucketObject[] | undefined;
    // Takes the objects out of the answer before the client reads it.
    command.middlewareStack.add(
      (next) => async (step) => {
        const result = await next(step);
        const response = result.response as { readonly statusCode: number; body: unknown }; // the client's, whose body on Node is an IncomingMessage
        if (response.statusCode !== 200) return result;
        const bytes = await readPage(response.body as Readable, stallTimeout);
        const page = parseListPage(bytes);
        own = page?.objects;
        response.body = Readable.from([page?.rest ?? bytes], { objectMode: false });
        return result;
      },
      { step: "deserialize", priority: "low", name: "listPage" },
    );
    const reply = await this.#client.send(command, { abortSignal: stallTimeout.signal });
    if (reply.IsTruncated === undefined) throw new Error("the answer does not say whether it is the last page");
    own ??= (reply.Contents ?? []).map(({ Key, Size, LastModified }) => {
      if (Key === undefined) throw new Error("it listed an object without a key");
      return { key: Key, sizeBytes: Size ?? 0, lastModifiedMs: LastModified?.getTime() ?? 0 };
    });
    return { objects: own, isTruncated: reply.IsTruncated, nextToken: reply.NextContinuationToken };
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    checkKey(key);
    await this.#trying("delete", key, 0, signal, ({ signal: abortSignal }) => this.#client.send(new DeleteObjectCommand(this.#at(key)), { abortSignal }),
      (error) => (nameOf(error) === "NoSuchKey" ? new AlreadyGone() : undefined)).catch((error: unknown) => {
      if (!(error instanceof AlreadyGone)) throw error;
    });
  }

  /** The `Date` of an answer to a LIST of one object. */
  async dateMs(signal: AbortSignal): Promise<number | undefined> {
    return this.#trying("ask the time of", "", 0, signal, async ({ signal: abortSignal }) => {
      const command = new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#prefix, MaxKeys: 1 });
      let date: string | undefined;
      command.middlewareStack.add(
        (next) => async (step) => {
          const result = await next(step);
          date = (result.response as { readonly headers: Readonly<Record<string, string>> }).headers["date"]; // the client's response
          return result;
        },
        { step: "deserialize", priority: "low", name: "date" },
      );
      await this.#client.send(command, { abortSignal });
      const dateMs = Date.parse(date ?? "");
      return Number.isNaN(dateMs) ? undefined : dateMs;
    });
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }

  /**
   * Runs `work` until it resolves, its error is final, or the tries are used up; then rejects with a BucketError, with
   * what `special` makes of the error, or with the signal's reason.
   */
  async #trying<T>(
    doing: string,
    key: string,
    sentBytes: number,
    signal: AbortSignal,
    work: (stallTimeout: StallTimeout) => Promise<T>,
    special: (error: unknown) => Error | undefined = () => undefined,
  ): Promise<T> {
    for (let tries = 1; ; tries++) {
      signal.throwIfAborted();
      const stallTimeout = new StallTimeout(this.#clock, this.#requestTimeoutMs + (sentBytes / 2 ** 20) * 1000, signal);
      try {
        return await work(stallTimeout);
      } catch (thrown) {
        signal.throwIfAborted();
        const error = stallTimeout.signal.aborted ? stallTimeout.signal.reason : thrown;
        const final = special(error) ?? finalError(this.name, this.#bucket, doing, key, error);
        if (final !== undefined) throw final;
        if (tries >= this.#triesMax) throw bucketUnavailable(this.name, doing, key, error);
        this.#logger.debug("trying the bucket again", { bucket: this.name, doing, key, tries, error });
      } finally {
        stallTimeout.end();
      }
      await this.#clock.sleep(this.#random.float() * Math.min(BACKOFF_MS_MAX, this.#backoffMs * 2 ** (tries - 1)), signal);
    }
  }

  async #hash(bytes: Uint8Array, signal: AbortSignal): Promise<Hashes> {
    const md5 = createHash("md5");
    const sha256 = createHash("sha256");
    for (let at = 0; at < bytes.length; at += HASH_CHUNK_BYTES) {
      if (at > 0) await this.#clock.sleep(0, signal); // lets the event loop turn
      const chunk = bytes.subarray(at, at + HASH_CHUNK_BYTES);
      md5.update(chunk);
      sha256.update(chunk);
    }
    return { md5Base64: md5.digest("base64"), sha256Hex: sha256.digest("hex") };
  }
}

interface Hashes {
  readonly md5Base64: string;
  readonly sha256Hex: string;
}

/** Answers of the store that the calls here expect. None of them leaves this file. */
class NameTaken extends Error {}
class ConditionsRefused extends Error {}
class AlreadyGone extends Error {}

/** Aborts when the caller does, or when nothing was heard for `limitMs`. */
class StallTimeout {
  readonly signal: AbortSignal;
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #end: () => void;
  #timer: { cancel(): void };
  readonly #expire: () => void;

  constructor(clock: Clock, limitMs: number, caller: AbortSignal) {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(caller.reason);
    setMaxListeners(0, caller); // a query reads many ranges under one signal; each takes its listener away again
    caller.addEventListener("abort", onAbort, { once: true });
    this.signal = controller.signal;
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#expire = () => controller.abort(new Error(`no answer within ${Math.round(limitMs)} ms`));
    this.#timer = clock.after(limitMs, this.#expire);
    this.#end = () => caller.removeEventListener("abort", onAbort);
  }

  /** Something was heard: the time begins again. */
  renew(): void {
    this.#timer.cancel();
    this.#timer = this.#clock.after(this.#limitMs, this.#expire);
  }

  end(): void {
    this.#timer.cancel();
    this.#end();
  }
}

async function readBody(bucket: string, key: string, reply: GetObjectCommandOutput, stallTimeout: StallTimeout): Promise<Uint8Array> {
  const body = bodyOf(reply);
  const onAbort = (): void => {
    body.destroy(stallTimeout.signal.reason);
  };
  stallTimeout.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const sizeBytes = reply.ContentLength;
    if (sizeBytes === undefined) throw new Error("the answer does not say how long it is");
    checkObjectSize(bucket, key, sizeBytes);
    const bytes = new Uint8Array(sizeBytes);
    let done = 0;
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      if (done + piece.length > sizeBytes) throw new Error(`promised ${sizeBytes} bytes and sent more`);
      bytes.set(piece, done);
      done += piece.length;
      stallTimeout.renew();
    }
    if (done < sizeBytes) throw new Error(`promised ${sizeBytes} bytes and sent ${done}`);
    return bytes;
  } finally {
    stallTimeout.signal.removeEventListener("abort", onAbort);
    body.destroy();
  }
}

/** Ten times a page of 1000 keys of 1024 bytes each. A larger answer fails the request. */
const LIST_ANSWER_BYTES_MAX = 16 * 2 ** 20;

async function readPage(body: Readable, stallTimeout: StallTimeout): Promise<Uint8Array> {
  const onAbort = (): void => {
    body.destroy(stallTimeout.signal.reason);
  };
  stallTimeout.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const pieces: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      sizeBytes += piece.length;
      if (sizeBytes > LIST_ANSWER_BYTES_MAX) throw new Error(`the page has more than ${LIST_ANSWER_BYTES_MAX} bytes`);
      pieces.push(piece);
      stallTimeout.renew();
    }
    return Buffer.concat(pieces);
  } finally {
    stallTimeout.signal.removeEventListener("abort", onAbort);
    body.destroy();
  }
}

/** `text` from `start`, as a string that does not keep the whole of it in memory. */
function ownText(text: string, start: number): string {
  return Buffer.from(text.slice(start), "utf8").toString("utf8");
}

function bodyOf(reply: GetObjectCommandOutput): Readable {
  return reply.Body as unknown as Readable; // on Node the client hands out an IncomingMessage
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("$metadata" in error)) return undefined;
  return (error.$metadata as { readonly httpStatusCode?: number }).httpStatusCode; // the SDK puts it on all its errors
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

/** The error where another try would not help; undefined where it may: no status at all, 429, 5xx, and a store that says it is busy. */
function finalError(bucket: string, bucketName: string, doing: string, key: string, error: unknown): Error | undefined {
  if (error instanceof BucketError) return error;
  const status = statusOf(error);
  const name = nameOf(error);
  if (name === "NoSuchBucket" || (status === 404 && (doing === "list" || doing === "keep"))) {
    return new BucketError("BUCKET_MISSING", key, `there is no bucket ${JSON.stringify(bucketName)}: make it, or correct --bucket`, error);
  }
  if (status === 404) return objectNotFound(bucket, key, error);
  if (name === "RequestTimeTooSkewed") {
    return new BucketError("BUCKET_FORBIDDEN", key, `${bucket} refuses our clock, which is minutes from its own: set the time of this machine`, error);
  }
  if (status === 401 || status === 403) {
    return new BucketError("BUCKET_FORBIDDEN", key, `${bucket} does not let us ${doing} ${JSON.stringify(key)} (${name}): check the credentials of the AWS default chain and what they may do`, error);
  }
  if (name === "CredentialsProviderError") {
    return new BucketError("BUCKET_FORBIDDEN", key, `no credentials for ${bucket}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or another source of the AWS default chain (${messageOf(error)})`, error);
  }
  return undefined;
}
