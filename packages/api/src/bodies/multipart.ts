/**
 * Parses a complete multipart/form-data body (RFC 7578). The fields are views; nothing is copied.
 *
 *   --boundary CRLF header: value CRLF ... CRLF CRLF content CRLF --boundary ... --boundary--
 *
 * What must stay true: a body without its closing boundary is refused, so that a truncated upload is not taken for a complete one.
 */
import { invalidArgument } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";

/** Profilers send two or three fields. A body with more parts than this is refused. */
const PART_COUNT_MAX = 32;
const HEADER_BYTES_MAX = 8_192;
/** RFC 2046 allows 70 characters. */
const BOUNDARY_LENGTH_MAX = 70;

/** Field name -> content. Of a name that is given twice the first content counts. Throws MULTIPART_INVALID. */
export function readMultipart(body: Uint8Array, contentType: string): ReadonlyMap<string, Uint8Array> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const delimiter = Buffer.from(`--${boundaryOf(contentType)}`, "latin1");
  const fields = new Map<string, Uint8Array>();

  let at = nextDelimiter(bytes, delimiter, 0);
  if (at < 0) throw invalid("its boundary does not occur in it");
  for (let partCount = 0; ; partCount++) {
    if (partCount > PART_COUNT_MAX) throw invalid(`it has more than ${PART_COUNT_MAX} parts`);
    at += delimiter.length;
    if (bytes[at] === DASH && bytes[at + 1] === DASH) return fields;
    const contentAt = headersEnd(bytes, at);
    const end = nextDelimiter(bytes, delimiter, contentAt);
    if (end < 0) throw invalid("its closing boundary is missing: the upload was cut short");
    const name = fieldName(bytes.toString("latin1", at, contentAt));
    // The line break before a delimiter belongs to the delimiter.
    const contentEnd = Math.max(contentAt, end - (bytes[end - 2] === CR ? 2 : 1));
    if (name !== undefined && !fields.has(name)) fields.set(name, body.subarray(contentAt, contentEnd));
    at = end;
  }
}

const CR = 0x0d;
const LF = 0x0a;
const DASH = 0x2d;
const SPACE = 0x20;
const TAB = 0x09;

/** Finds the next delimiter: at the start of a line, and followed by a line break, a blank or `--`. */
function nextDelimiter(bytes: Buffer, delimiter: Buffer, from: number): number {
  for (let at = bytes.indexOf(delimiter, from); at >= 0; at = bytes.indexOf(delimiter, at + 1)) {
    if (at !== 0 && bytes[at - 1] !== LF) continue;
    const next = bytes[at + delimiter.length];
    if (next === CR || next === LF || next === SPACE || next === TAB) return at;
    if (next === DASH && bytes[at + delimiter.length + 1] === DASH) return at;
  }
  return -1;
}

/** Where the content of the part begins: after its first empty line. */
function headersEnd(bytes: Buffer, from: number): number {
  const limit = Math.min(bytes.length, from + HEADER_BYTES_MAX);
  for (let at = from; at < limit; at++) {
    if (bytes[at] !== LF) continue;
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  throw invalid(`the headers of a part do not end within ${HEADER_BYTES_MAX} bytes`);
}

/** The `name` of a part's Content-Disposition; undefined for a part that has none. */
function fieldName(headers: string): string | undefined {
  const disposition = /^content-disposition:\s*form-data\b([^\r\n]*)/im.exec(headers);
  if (disposition === null) return undefined;
  const name = /;\s*name=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition[1]!);
  return name === null ? undefined : (name[1] ?? name[2]);
}

function boundaryOf(contentType: string): string {
  const match = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2] ?? "";
  if (boundary === "" || boundary.length > BOUNDARY_LENGTH_MAX) {
    throw invalid(`its content type names no boundary of 1 to ${BOUNDARY_LENGTH_MAX} characters`);
  }
  return boundary;
}

function invalid(why: string): CodedError {
  return invalidArgument("MULTIPART_INVALID", `the body is not multipart/form-data: ${why}`);
}
