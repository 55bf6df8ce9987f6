/**
 * A LIST that a store answers page by page: asks for one page after the other until the last, and yields those that have keys.
 *
 *   page  "a" "b", truncated          -> the next after the key "b"
 *   page  (no keys), truncated, token -> the next by that token
 *   page  "c", last                   -> the end
 *
 * What must stay true: a list ends without an error only after a page that says it is the last, or at its limit. An empty page that says
 * that more follow is not the end (AWS promises no page length; a store that skips over deleted keys answers so): taken for it, objects
 * that are there would look deleted. A store that loses its place fails the LIST, and is not asked for ever.
 */
import { compareText } from "@pyromesh/profile";
import type { BucketObject, ListOptions } from "./bucket.ts";
import { bucketUnavailable } from "./bucket.ts";

export interface PageRequest {
  /** Only keys after this one; "": from the first. */
  readonly startAfter: string;
  /** Of the page before, if that had no keys: then only the token leads on. */
  readonly token: string | undefined;
  readonly lengthMax: number;
}

export interface Page {
  readonly objects: readonly BucketObject[];
  /** More pages follow. */
  readonly isTruncated: boolean;
  readonly nextToken: string | undefined;
}

export interface PagedListOptions extends ListOptions {
  /** The bucket's name and the listed prefix, for errors. */
  readonly bucket: string;
  readonly prefix: string;
  /** Pages without a key, one after the other. At the bound the LIST fails. */
  readonly keylessPageCountMax?: number;
}

/** S3's own page length. */
const PAGE_LENGTH_MAX = 1000;
const KEYLESS_PAGE_COUNT_MAX = 1000;

/**
 * Rejects with what `fetchPage` rejects with, and BUCKET_UNAVAILABLE where the pages do not fit together. After a page with keys the next
 * is asked for by the last key and not by the token: a token may expire while the caller works on a page, a key never does.
 */
export async function* pagedList(fetchPage: (request: PageRequest) => Promise<Page>, options: PagedListOptions): AsyncGenerator<readonly BucketObject[], void> {
  const { bucket, prefix, limit = Infinity, keylessPageCountMax = KEYLESS_PAGE_COUNT_MAX } = options;
  const failed = (problem: string): Error => bucketUnavailable(bucket, "list", prefix, new Error(problem));
  let left = limit;
  let startAfter = options.startAfter ?? "";
  let token: string | undefined;
  let keylessCount = 0;
  while (left > 0) {
    const { objects, isTruncated, nextToken } = await fetchPage({ startAfter, token, lengthMax: Math.min(left, PAGE_LENGTH_MAX) });
    for (const { key } of objects) {
      // Else a store that lists in no order, or from the start again, would keep us here for ever.
      if (compareText(key, startAfter) <= 0) throw failed(`it listed ${JSON.stringify(key)} after ${JSON.stringify(startAfter)}`);
      startAfter = key;
    }
    left -= objects.length;
    if (objects.length > 0) yield objects;
    if (!isTruncated) return;
    if (objects.length > 0) {
      token = undefined;
      keylessCount = 0;
      continue;
    }
    if (nextToken === undefined || nextToken === "") throw failed("a page without keys says that more follow, and not how to ask for them");
    if (nextToken === token) throw failed("a page without keys has the token by which it was asked for");
    if (++keylessCount >= keylessPageCountMax) throw failed(`${keylessCount} pages one after the other had no keys`);
    token = nextToken;
  }
}
