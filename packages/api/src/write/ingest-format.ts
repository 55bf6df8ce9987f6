/** Which format the body of a request to /ingest has: by its content type, and the name in `format`. */
import { CodedError } from "@pyromesh/base";
import type { ApiRequest } from "../ports/http.ts";

/** `unknown`: the name is not known, and the body is read as `groups`. */
export type IngestFormat = "pprof" | "jfr" | "groups" | "lines" | "speedscope" | "tree" | "trie" | "unknown";

/** Of each name. Empty: none is given. */
const FORMATS: Readonly<Record<string, IngestFormat>> = {
  "": "groups",
  collapsed: "groups",
  folded: "groups",
  groups: "groups",
  jfr: "jfr",
  lines: "lines",
  pprof: "pprof",
  speedscope: "speedscope",
  tree: "tree",
  trie: "trie",
};

export function ingestFormat(request: ApiRequest): IngestFormat {
  const contentType = (request.headers["content-type"] ?? "").toLowerCase();
  const binary = /^binary\/octet-stream\+(trie|tree)\b/.exec(contentType);
  if (binary !== null) return binary[1] as "trie" | "tree"; // the pattern has only these
  const name = request.query.get("format") ?? "";
  const format = Object.hasOwn(FORMATS, name) ? FORMATS[name]! : "unknown";
  const isText = format === "groups" || format === "unknown";
  return isText && contentType.startsWith("multipart/form-data") ? "pprof" : format;
}

/** Formats that hold names and values alone: the application's name says what they are, and a limit that they break is 400. */
export function isOfNames(format: IngestFormat): boolean {
  return format !== "pprof" && format !== "jfr";
}

/** What a body of an unknown format is refused for, where it could not be read as text either. */
export function unreadAsText(error: Error, request: ApiRequest): Error {
  if (!(error instanceof CodedError) || error.code !== "PROFILE_MALFORMED") return error;
  const format = request.query.get("format") ?? "";
  return new CodedError({
    code: "INGEST_FORMAT_UNKNOWN",
    kind: "invalid_argument",
    message: `format ${JSON.stringify(format.slice(0, 100))} is not accepted, and the body is no folded text: send format=pprof or format=jfr (as the body or as multipart/form-data), format=folded, format=groups, format=lines, format=speedscope, format=tree or format=trie`,
    details: error.details,
    cause: error,
  });
}
