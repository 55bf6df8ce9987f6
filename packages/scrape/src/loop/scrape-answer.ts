/** Asks a program for a profile and reads its answer, within the limit of the body and of all bodies together. */
import { CodedError, unavailable } from "@pyromesh/base";
import type { HttpFetch } from "../http/http-get.ts";
import type { ScrapeTarget } from "../target.ts";

/** The bytes that answers may take together: those being read, and those that are kept for the next difference. */
export interface AnswerMemory {
  /** False: there is no room for them. */
  take(sizeBytes: number): boolean;
  give(sizeBytes: number): void;
  /** So many more are kept, or fewer where it is negative. False: there is no room for them, and it is as before. */
  keep(addedBytes: number): boolean;
}

/** Rejects with SCRAPE_FAILED, which says what the program answered, with SCRAPE_BODY_TOO_LARGE or SCRAPE_NO_MEMORY, with what `fetch` rejects with, or with the signal's reason. */
export async function scrapeAnswer(target: ScrapeTarget, signal: AbortSignal, modules: AnswerModules): Promise<Uint8Array> {
  const read = new AbortController();
  try {
    return await readAnswer(target, AbortSignal.any([signal, read.signal]), modules);
  } finally {
    read.abort(); // ends the connection where not all of the answer was read
  }
}

interface AnswerModules {
  readonly fetch: HttpFetch;
  readonly memory: AnswerMemory;
}

async function readAnswer(target: ScrapeTarget, signal: AbortSignal, { fetch, memory }: AnswerModules): Promise<Uint8Array> {
  const { job, url } = target;
  // A pprof is gzip already: packed once more it would be unpacked twice.
  const headers = { accept: "application/octet-stream, */*;q=0.1", "accept-encoding": "identity", "x-scrape-timeout-seconds": String(target.timeoutMs / 1000) };
  const reply = await fetch({ url, headers, settings: job.http, signal });
  if (reply.status !== 200) throw failed(`the program answered with status ${reply.status}${await firstWords(reply.body)}`);
  const encoding = reply.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity" && encoding !== "") throw failed(`the answer has content encoding ${JSON.stringify(encoding)}, which was not asked for: send it without`);
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const part of reply.body) {
      signal.throwIfAborted();
      if (sizeBytes + part.length > job.bodySizeBytesMax) {
        throw new CodedError({ code: "SCRAPE_BODY_TOO_LARGE", kind: "resource_exhausted", message: `the answer is longer than ${job.bodySizeBytesMax} bytes (body_size_limit of job ${job.jobName}): raise it, or profile for a shorter time` });
      }
      if (!memory.take(part.length)) throw unavailable("SCRAPE_NO_MEMORY", "the answers of other targets take all memory that scraping has: scrape fewer targets on this node, or less often");
      sizeBytes += part.length;
      parts.push(part);
    }
  } catch (error) {
    // Node.js says "aborted", whoever it was.
    throw !signal.aborted && (error as { readonly code?: unknown }).code === "ECONNRESET" ? failed("the connection ended before the answer did") : error;
  } finally {
    memory.give(sizeBytes);
  }
  if (sizeBytes === 0) throw failed("the program answered with nothing: check the path of the profile");
  return joined(parts, sizeBytes);
}

/** With memory of its own, which may be sent to a worker. */
function joined(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const body = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}

/** Of an answer that is no profile: what a person reads in it. */
const WORDS_LENGTH_MAX = 200;

async function firstWords(body: AsyncIterable<Uint8Array>): Promise<string> {
  let words = "";
  for await (const part of body) {
    words += Buffer.from(part.subarray(0, WORDS_LENGTH_MAX)).toString("utf8");
    if (words.length >= WORDS_LENGTH_MAX) break;
  }
  const line = words.slice(0, WORDS_LENGTH_MAX).replace(/[\s\p{C}]+/gu, " ").trim();
  return line === "" ? "" : `: ${line}`;
}

function failed(message: string): CodedError {
  return new CodedError({ code: "SCRAPE_FAILED", kind: "unavailable", message });
}
