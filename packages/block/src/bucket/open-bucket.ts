/**
 * Buckets by URL, as `--bucket` takes them. Credentials never stand in a URL: they come from the AWS default chain.
 *
 *   file://dir            a folder, as it stands after the two slashes; a relative one begins at the working directory
 *   s3://bucket/prefix?endpoint=http://host:port&region=eu-1&path-style=true
 *   memory:               for tests; gone with the process
 *   (nothing)             a folder in the data dir
 */
import path from "node:path";
import type { Clock, Logger, Random } from "@pyromesh/base";
import { invalidArgument } from "@pyromesh/base";
import type { Bucket } from "./bucket.ts";
import { checkKey } from "./bucket.ts";
import { FileBucket } from "./file-bucket.ts";
import { MemoryBucket } from "./memory-bucket.ts";

export interface OpenBucketModules {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Looks at nothing and makes nothing: `bucket.check` and `bucket.create` do. Throws BUCKET_URL_INVALID. */
export async function openBucket(url: string | undefined, modules: OpenBucketModules): Promise<Bucket> {
  const place = parseBucketUrl(url, modules.dataDir);
  switch (place.kind) {
    case "memory":
      return new MemoryBucket(modules);
    case "file":
      return new FileBucket(place.dir, modules);
    case "s3": {
      const { S3Bucket } = await import("./s3-bucket.ts");
      return new S3Bucket(place, modules);
    }
  }
}

export type BucketPlace =
  | { readonly kind: "memory" }
  | { readonly kind: "file"; readonly dir: string }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly prefix: string;
      readonly endpoint: string | undefined;
      readonly region: string | undefined;
      readonly isPathStyle: boolean;
    };

export function parseBucketUrl(url: string | undefined, dataDir: string): BucketPlace {
  if (url === undefined || url === "") return { kind: "file", dir: path.join(dataDir, "bucket") };
  if (url === "memory:") return { kind: "memory" };
  if (url.startsWith("file://")) {
    const dir = url.slice("file://".length);
    if (dir === "") throw urlInvalid(url, "name a folder: file:///var/lib/pyromesh/bucket");
    return { kind: "file", dir: path.resolve(dir) };
  }
  if (url.startsWith("s3://")) return parseS3Url(url);
  throw urlInvalid(url, "begin it with file://, s3:// or memory:");
}

function parseS3Url(url: string): BucketPlace {
  const [head = "", query = ""] = splitOnce(url.slice("s3://".length), "?");
  if (head.includes("@")) throw urlInvalid("s3://...@...", "take the credentials out of it: they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or another source of the AWS default chain");
  const [bucket = "", rest = ""] = splitOnce(head, "/");
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)) throw urlInvalid(url, "name a bucket after s3://, as in s3://profiles/eu");
  const prefix = rest.replace(/\/+$/, "");
  if (prefix !== "") {
    try {
      checkKey(prefix);
    } catch (error) {
      throw urlInvalid(url, "use a prefix without empty, \".\" or \"..\" segments", error);
    }
    // S3's keys end at 1024 bytes and ours take up to 900.
    if (Buffer.byteLength(prefix) > 120) throw urlInvalid(url, "use a prefix of at most 120 bytes");
  }
  const settings = new URLSearchParams(query);
  for (const name of settings.keys()) {
    if (!["endpoint", "region", "path-style"].includes(name)) throw urlInvalid(url, `it takes endpoint, region and path-style, and knows no ${JSON.stringify(name)}`);
  }
  const endpoint = settings.get("endpoint") ?? undefined;
  if (endpoint !== undefined) checkEndpoint(url, endpoint);
  const pathStyle = settings.get("path-style");
  if (pathStyle !== null && pathStyle !== "true" && pathStyle !== "false") throw urlInvalid(url, "write path-style=true or path-style=false");
  return {
    kind: "s3",
    bucket,
    prefix,
    endpoint,
    region: settings.get("region") ?? undefined,
    // A store of one's own rarely has a DNS name for each bucket; AWS has, and wants it used.
    isPathStyle: pathStyle === null ? endpoint !== undefined : pathStyle === "true",
  };
}

function checkEndpoint(url: string, endpoint: string): void {
  let parsed: URL;
  try {
    parsed = new URL(endpoint);
  } catch (error) {
    throw urlInvalid(url, "write the endpoint as http://host:port or https://host:port", error);
  }
  if (parsed.username !== "" || parsed.password !== "") throw urlInvalid("s3://...endpoint=...@...", "take the credentials out of the endpoint: they come from the AWS default chain");
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:") throw urlInvalid(url, "write the endpoint as http://host:port or https://host:port");
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

function urlInvalid(url: string, advice: string, cause?: unknown): Error {
  return invalidArgument("BUCKET_URL_INVALID", `--bucket ${JSON.stringify(url)} is not understood: ${advice}`, cause);
}
