/**
 * How gRPC and gRPC-Web send a message: a header of five bytes, and the message.
 *
 *   0      1             5
 *   +------+-------------+---------
 *   | flags| length      | message
 *   +------+-------------+---------
 *
 * `flags`: 1, the message is compressed; 128, these are the trailers of gRPC-Web. `length` is big endian. A unary call has one message.
 */
import { invalidArgument } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";

export const FRAME_HEADER_BYTES = 5;

export const FLAG_COMPRESSED = 1;
export const FLAG_TRAILERS = 128;

export interface MessageFrame {
  readonly isCompressed: boolean;
  readonly message: Uint8Array;
}

/** The message of a unary call, as a view of `body`. Throws MESSAGE_FRAME_INVALID. */
export function readOneMessage(body: Uint8Array): MessageFrame {
  if (body.length === 0) throw invalidFrame("the call has no message: send one, which may be empty");
  if (body.length < FRAME_HEADER_BYTES) throw invalidFrame(`the body has ${body.length} bytes, and a message begins with a header of ${FRAME_HEADER_BYTES}: send the message whole`);
  const { isCompressed, sizeBytes } = readHeader(body);
  const haveBytes = body.length - FRAME_HEADER_BYTES;
  if (haveBytes < sizeBytes) throw invalidFrame(`a message says that it has ${sizeBytes} bytes, and ${haveBytes} came: send it whole`);
  if (haveBytes > sizeBytes) throw invalidFrame(`${haveBytes - sizeBytes} bytes follow the message: send one message a call`);
  return { isCompressed, message: body.subarray(FRAME_HEADER_BYTES) };
}

/** The first frame of a stream, as a view of `bytes`. Undefined: it is not complete yet. Throws MESSAGE_FRAME_INVALID. */
export function readFrame(bytes: Uint8Array): MessageFrame | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const { isCompressed, sizeBytes } = readHeader(bytes);
  const end = FRAME_HEADER_BYTES + sizeBytes;
  return bytes.length < end ? undefined : { isCompressed, message: bytes.subarray(FRAME_HEADER_BYTES, end) };
}

/** `bytes` has at least FRAME_HEADER_BYTES. */
function readHeader(bytes: Uint8Array): { readonly isCompressed: boolean; readonly sizeBytes: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint8(0);
  if (flags > FLAG_COMPRESSED) throw invalidFrame(`a message has the flags ${flags}: send 0, or 1 where it is compressed`);
  return { isCompressed: flags === FLAG_COMPRESSED, sizeBytes: view.getUint32(1) };
}

export function frameHeader(sizeBytes: number, flags: number): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, flags);
  view.setUint32(1, sizeBytes);
  return header;
}

export function invalidFrame(message: string): CodedError {
  return invalidArgument("MESSAGE_FRAME_INVALID", message);
}
