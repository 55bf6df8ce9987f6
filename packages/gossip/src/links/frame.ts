/**
 * The frames of a proven link: requests and what answers them on the channels `push` and `read`, and messages of membership on `control`.
 *
 *   control
 *     0x10 message   rest: the message; its codec is membership's
 *     0x11 ping      u32 number
 *     0x12 pong      u32 number, of the ping
 *   push, read
 *     0x20 request   u8 method   u32 id   u32 length   the body's first bytes
 *     0x21 reply     u8 0        u32 id   u32 length   the body's first bytes
 *     0x22 error     u8 0        u32 id   u32 length   the first bytes of an error (below)
 *     0x23 more      u8 side     u32 id                the body's next bytes; side 0: of a request, 1: of a reply or an error
 *     0x24 cancel    u8 0        u32 id                nobody waits for the reply of this request any more
 *
 *   error          u8 kind (KINDS)   text code   text message   uvarint count, count x { text name, u8 type, value }
 *                  type 0: text, 1: f64, 2: u8 0 or 1           text: uvarint length, UTF-8
 *
 * Numbers are little-endian. Each side gives its own requests ids, so the same id may be in use in both directions. `length` is that of the whole body;
 * what does not fit into the first frame follows in `more` frames, between which frames of other bodies may come. A body whose frames hold more or less
 * than its length, and any frame that is not as above, is malformed, and closes the link. Bytes after an error's last field are ignored.
 */
import { ByteReader, ByteWriter, CodedError, CorruptionError, type ErrorKind } from "@pyromesh/base";

/** Bytes of a body that one frame carries: short enough for others to get in between (1 ms at 256 MB/s), long enough to make the header cheap. */
export const PART_BYTES: number = 256 * 1024;

/** Their index is their number on the wire: append only. */
export const METHODS = ["append", "status", "digest", "identities", "scan", "release-pin", "sealed", "announce", "arrival", "flush", "health", "usage", "progress", "scrape", "scrape-confirm"] as const;
export type PeerMethod = (typeof METHODS)[number];

const KIND = { message: 0x10, ping: 0x11, pong: 0x12, request: 0x20, reply: 0x21, error: 0x22, more: 0x23, cancel: 0x24 } as const;

/** Their index is their number on the wire: append only. */
const KINDS: readonly ErrorKind[] = ["invalid_argument", "unauthenticated", "permission_denied", "not_found", "resource_exhausted", "failed_precondition", "unimplemented", "canceled", "deadline_exceeded", "unavailable", "data_loss", "internal"];

/** Longer texts of an error are cut, and of more details the rest is left out, by the sender. */
const ERROR_TEXT_LENGTH_MAX = 4096;
const ERROR_DETAILS_MAX = 32;

export type ControlFrame =
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  | { readonly kind: "ping" | "pong"; readonly number: number };

export type BodyFrame =
  /** `method`: undefined where this version has none of that number. */
  | { readonly kind: "request"; readonly method: PeerMethod | undefined; readonly id: number; readonly length: number; readonly bytes: Uint8Array }
  | { readonly kind: "reply" | "error"; readonly id: number; readonly length: number; readonly bytes: Uint8Array }
  | { readonly kind: "more"; readonly isOfReply: boolean; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "cancel"; readonly id: number };

export function encodeMessage(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(1 + bytes.length);
  frame[0] = KIND.message;
  frame.set(bytes, 1);
  return frame;
}

export function encodePing(kind: "ping" | "pong", number: number): Uint8Array {
  return new ByteWriter(5).u8(KIND[kind]).u32(number).finish();
}

const HEADER_BYTES = 6;
const FIRST_HEADER_BYTES = HEADER_BYTES + 4;

/** The first frame of a body, and the whole of one that is no longer than `PART_BYTES`. */
export function encodeFirst(kind: "request" | "reply" | "error", method: PeerMethod | undefined, id: number, body: Uint8Array): Uint8Array {
  const part = body.length <= PART_BYTES ? body : body.subarray(0, PART_BYTES);
  const frame = Buffer.allocUnsafeSlow(FIRST_HEADER_BYTES + part.length);
  frame[0] = KIND[kind];
  frame[1] = method === undefined ? 0 : METHODS.indexOf(method);
  frame.writeUInt32LE(id, 2);
  frame.writeUInt32LE(body.length, HEADER_BYTES);
  frame.set(part, FIRST_HEADER_BYTES);
  return frame;
}

/** The frame of the bytes from `offset` on, at most `PART_BYTES` of them. */
export function encodeMore(isOfReply: boolean, id: number, body: Uint8Array, offset: number): Uint8Array {
  const part = body.subarray(offset, offset + PART_BYTES);
  const frame = Buffer.allocUnsafeSlow(HEADER_BYTES + part.length);
  frame[0] = KIND.more;
  frame[1] = isOfReply ? 1 : 0;
  frame.writeUInt32LE(id, 2);
  frame.set(part, HEADER_BYTES);
  return frame;
}

export function encodeCancel(id: number): Uint8Array {
  return new ByteWriter(HEADER_BYTES).u8(KIND.cancel).u8(0).u32(id).finish();
}

/** Throws PEER_MALFORMED. */
export function decodeControlFrame(frame: Uint8Array): ControlFrame {
  const kind = frame[0];
  if (kind === KIND.message) return { kind: "message", bytes: frame.subarray(1) };
  if ((kind === KIND.ping || kind === KIND.pong) && frame.length === 5) return { kind: kind === KIND.ping ? "ping" : "pong", number: u32(frame, 1) };
  throw malformed(`a control frame of ${frame.length} bytes that begins with ${kind ?? "nothing"}`);
}

/** Throws PEER_MALFORMED. */
export function decodeBodyFrame(frame: Uint8Array): BodyFrame {
  const kind = frame[0];
  const detail = frame[1]!;
  switch (kind) {
    case KIND.request:
    case KIND.reply:
    case KIND.error: {
      if (frame.length < FIRST_HEADER_BYTES) break;
      const length = u32(frame, HEADER_BYTES);
      const bytes = frame.subarray(FIRST_HEADER_BYTES);
      if (bytes.length !== Math.min(length, PART_BYTES)) break;
      const id = u32(frame, 2);
      if (kind === KIND.request) return { kind: "request", method: METHODS[detail], id, length, bytes };
      return { kind: kind === KIND.reply ? "reply" : "error", id, length, bytes };
    }
    case KIND.more:
      if (frame.length <= HEADER_BYTES || frame.length > HEADER_BYTES + PART_BYTES || detail > 1) break;
      return { kind: "more", isOfReply: detail === 1, id: u32(frame, 2), bytes: frame.subarray(HEADER_BYTES) };
    case KIND.cancel:
      if (frame.length === HEADER_BYTES) return { kind: "cancel", id: u32(frame, 2) };
      break;
    case undefined:
    default:
  }
  throw malformed(`a frame of ${frame.length} bytes that begins with ${kind ?? "nothing"}`);
}

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** What was thrown by a handler, for its requester. What has no code says nothing about itself: it is a bug, and is in this node's log. */
export function encodeError(thrown: unknown): Uint8Array {
  const error = thrown instanceof CodedError ? thrown : new CodedError({ code: "PEER_FAILED", kind: "internal", message: "the peer failed; its log says why" });
  const writer = new ByteWriter().u8(KINDS.indexOf(error.kind)).text(error.code.slice(0, ERROR_TEXT_LENGTH_MAX)).text(error.message.slice(0, ERROR_TEXT_LENGTH_MAX));
  const details = Object.entries(error.details).slice(0, ERROR_DETAILS_MAX);
  writer.uvarint(details.length);
  for (const [name, value] of details) {
    writer.text(name.slice(0, ERROR_TEXT_LENGTH_MAX));
    if (typeof value === "string") writer.u8(0).text(value.slice(0, ERROR_TEXT_LENGTH_MAX));
    else if (typeof value === "number") writer.u8(1).f64(value);
    else writer.u8(2).u8(value ? 1 : 0);
  }
  return writer.finish();
}

/** Throws PEER_MALFORMED. */
export function decodeError(bytes: Uint8Array): CodedError {
  try {
    const reader = new ByteReader(bytes, "an error of a peer");
    const kind = KINDS[reader.u8()] ?? reader.fail("a kind of error", "another number");
    const [code, message] = [reader.text(), reader.text()];
    if (!/^[A-Z][A-Z0-9_]*$/.test(code)) reader.fail("a code of an error", "other characters");
    const count = reader.uvarint();
    if (count > ERROR_DETAILS_MAX) reader.fail(`at most ${ERROR_DETAILS_MAX} details`, `${count}`);
    const details: [string, string | number | boolean][] = [];
    for (let i = 0; i < count; i++) details.push([reader.text(), decodeDetail(reader)]);
    return new CodedError({ code, kind, message, details: Object.fromEntries(details) });
  } catch (error) {
    if (error instanceof CorruptionError) throw malformed(error.message);
    throw error;
  }
}

function decodeDetail(reader: ByteReader): string | number | boolean {
  const type = reader.u8();
  if (type === 0) return reader.text();
  if (type === 1) return reader.f64();
  const flag = type === 2 ? reader.u8() : reader.fail("a type of a detail", `${type}`);
  return flag <= 1 ? flag === 1 : reader.fail("0 or 1", `${flag}`);
}

/** The other side sent what the protocol does not allow. */
export function malformed(what: string): CodedError {
  return new CodedError({ code: "PEER_MALFORMED", kind: "data_loss", message: `the peer sent ${what}` });
}
