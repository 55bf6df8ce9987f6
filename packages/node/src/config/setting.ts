/**
 * A setting: its key, its kind (which values it takes), its default, and one sentence for `--help`.
 *
 * A setting has one key (`flush_interval`, `limits.ingestion_rate_mb`) and three spellings: the key itself in YAML, `--flush-interval` as a flag,
 * `PYROMESH_FLUSH_INTERVAL` as a variable. The values are texts in all three, so a value means the same wherever it is written.
 */
import { parseAllowedHost, parseCorsOrigin } from "@pyromesh/api";
import { didYouMean, formatDuration, formatSize, messageOf, parseDuration, parseSize } from "@pyromesh/base";
import { z } from "zod";

export interface Setting<T> {
  /** Lower case, with `_` between words and `.` after a group. */
  readonly key: string;
  readonly kind: Kind<T>;
  readonly default: T;
  readonly help: string;
}

export interface Kind<T> {
  /** What `--help` shows in angle brackets. */
  readonly placeholder: string;
  /** Reads a text, or refuses it with a sentence that shows how to write it. */
  readonly schema: z.ZodType<T, string>;
  /** The text of a value, which `schema` reads back. Undefined where the setting is left out. */
  print(value: T): string | number | boolean | readonly string[] | undefined;
  /** The text that a flag without a value stands for. */
  readonly flagAlone?: string;
  /** The setting may be given several times; each adds to the list. */
  readonly isList?: boolean;
}

export interface Address {
  /** An empty text means every interface. */
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;
}

export function flagOf(key: string): string {
  return `--${key.replaceAll("_", "-")}`;
}

export function variableOf(key: string): string {
  return `PYROMESH_${key.replaceAll(".", "_").toUpperCase()}`;
}

export const textKind: Kind<string> = {
  placeholder: "text",
  schema: z.string().min(1, "an empty value: write one or leave the setting out"),
  print: (value) => (value === "" ? undefined : value),
};

export const optionalTextKind: Kind<string | undefined> = { placeholder: "text", schema: textKind.schema, print: (value) => value };

export const listKind: Kind<readonly string[]> = {
  placeholder: "address",
  schema: textKind.schema.transform((text): readonly string[] => text.split(",").map((part) => part.trim())),
  print: (value) => (value.length === 0 ? undefined : value),
  isList: true,
};

/** Names of hosts that requests may be sent to. One text may hold several, separated by commas. */
export const hostListKind: Kind<readonly string[]> = { ...listKind, placeholder: "host", schema: refusable((text) => partsOf(text).map(parseAllowedHost)) };

/** Origins of web sites. */
export const originListKind: Kind<readonly string[]> = { ...listKind, placeholder: "origin", schema: refusable((text) => partsOf(text).map(parseCorsOrigin)) };

/** The name of a node, a zone or a cluster: it stands in addresses, files and metrics. */
export const optionalNameKind: Kind<string | undefined> = {
  placeholder: "name",
  schema: refusable((text) => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._:[\]-]{0,127}$/.test(text)) throw new Error(`${quote(text)} is not a name: write one of letters, digits and . _ - :, that begins with a letter or a digit, 128 characters at most`);
    return text;
  }),
  print: (value) => value,
};

function partsOf(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

export const booleanKind: Kind<boolean> = {
  placeholder: "true|false",
  schema: z.enum(["true", "false"], { error: (issue) => `${quote(issue.input)} is neither true nor false` }).transform((text) => text === "true"),
  print: (value) => value,
  flagAlone: "true",
};

export const durationKind: Kind<number> = {
  placeholder: "duration",
  schema: refusable((text) => parseDuration(text)),
  print: (value) => formatDuration(value),
};

export const positiveDurationKind: Kind<number> = { ...durationKind, schema: durationKind.schema.refine((durationMs) => durationMs > 0, "0 is too short: write it as 15s") };

export const sizeKind: Kind<number> = {
  placeholder: "size",
  schema: refusable((text) => parseSize(text)),
  print: (value) => formatSize(value),
};

export const positiveSizeKind: Kind<number> = { ...sizeKind, schema: sizeKind.schema.refine((sizeBytes) => sizeBytes > 0, "0 is too small: write it as 64MB") };

/** The least budget. Logs, tables and merges of the head's store take half of it (head/src/disk/disk-plan.ts); less would leave too little for records. */
const DISK_BUDGET_BYTES_MIN = 8 * 2 ** 20;

export const diskBudgetKind: Kind<number> = {
  ...sizeKind,
  schema: sizeKind.schema.refine((sizeBytes) => sizeBytes >= DISK_BUDGET_BYTES_MIN, "too small for the head's store and one profile: write 8MB or more"),
};

/** Bytes, written as a number of MB without a unit, as Pyroscope writes its rates. */
export const megabytesKind: Kind<number> = {
  placeholder: "MB",
  schema: refusable((text) => {
    if (!/^\d+(\.\d+)?$/.test(text)) throw new Error(`${quote(text)} is not a number of MB: write it as 4 or 0.5, without a unit`);
    return Math.floor(Number(text) * 2 ** 20);
  }),
  print: (value) => value / 2 ** 20,
};

export const countKind: Kind<number> = {
  placeholder: "count",
  schema: refusable((text) => {
    const count = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) throw new Error(`${quote(text)} is not a whole number of 0 or more`);
    return count;
  }),
  print: (value) => value,
};

export const positiveCountKind: Kind<number> = { ...countKind, schema: countKind.schema.refine((count) => count > 0, "0 is too few: write 1 or more") };

export const addressKind: Kind<Address> = { placeholder: "host:port", schema: refusable(parseAddress), print: (value) => printAddress(value) };

export const optionalAddressKind: Kind<Address | undefined> = {
  ...addressKind,
  print: (value) => (value === undefined ? undefined : printAddress(value)),
};

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

export const logLevelKind: Kind<(typeof LOG_LEVELS)[number]> = {
  placeholder: LOG_LEVELS.join("|"),
  schema: z.enum(LOG_LEVELS, { error: (issue) => `${quote(issue.input)} is not a log level: write one of ${LOG_LEVELS.join(", ")}` }),
  print: (value) => value,
};

const BUCKET_PARAMETERS = ["endpoint", "region", "path-style"];

/** `file://dir` or `s3://bucket/prefix?endpoint=...`. A URL with credentials is refused, since it would be logged. */
export const bucketKind: Kind<string> = {
  placeholder: "url",
  schema: refusable((text) => {
    if (text.startsWith("file://")) {
      if (text === "file://") throw new Error("file:// names no folder: write it as file:///var/lib/pyromesh/bucket");
      return text;
    }
    if (!text.startsWith("s3://")) throw new Error(`${quote(text)} is not a bucket: write it as file://dir or s3://bucket/prefix?endpoint=...&region=...&path-style=true`);
    const url = new URL(text);
    if (url.hostname === "") throw new Error("s3:// names no bucket: write it as s3://bucket/prefix");
    const endpoint = URL.parse(url.searchParams.get("endpoint") ?? "");
    if (url.username !== "" || url.password !== "" || (endpoint !== null && (endpoint.username !== "" || endpoint.password !== ""))) {
      throw new Error("credentials do not belong in the bucket's URL: give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in the AWS profile");
    }
    for (const name of url.searchParams.keys()) {
      if (!BUCKET_PARAMETERS.includes(name)) throw new Error(`the bucket's URL has no parameter ${quote(name)}${didYouMean(name, BUCKET_PARAMETERS)}: it takes ${BUCKET_PARAMETERS.join(", ")}`);
    }
    return text;
  }),
  print: (value) => hideCredentials(value),
};

/** `http://user:word@host` becomes `http://***@host`, percent-encoded inside a parameter too. */
export function hideCredentials(text: string): string {
  return text.replace(/(:\/\/|%3[aA]%2[fF]%2[fF])(?:[^/?&#@\s%]|%(?!40|2[fF]))*(@|%40)/g, "$1***$2");
}

/** `127.0.0.1:4040`, `[::1]:4040`, `:4040` (every interface). */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) throw new Error(`${quote(text)} is not an address: write it as 127.0.0.1:4040, [::1]:4040 or :4040`);
  return { host: match[1] ?? match[2] ?? "", port };
}

export function printAddress({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

export function isLoopback({ host }: Address): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Reads a text by `read`, whose error is the refusal. */
export function refusable<T>(read: (text: string) => T): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    try {
      return read(text);
    } catch (thrown) {
      context.addIssue(messageOf(thrown));
      return z.NEVER;
    }
  });
}

function quote(value: unknown): string {
  return JSON.stringify(value);
}
