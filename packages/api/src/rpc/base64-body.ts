/**
 * A body in base64 is decoded into its own memory, so that it takes no more than was counted when it came. It may consist of several parts
 * that are padded by themselves.
 */
import { invalidArgument } from "@pyromesh/base";

/** A multiple of four characters, which is one string at a time. */
const PIECE_BYTES = 48 * 2 ** 10;

/** The decoded bytes, as the beginning of `body`. Throws BASE64_INVALID. */
export function decodeBase64InPlace(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (text.length % 4 !== 0) throw invalidBase64(`its length is ${text.length}, which is no multiple of four`);
  let length = 0;
  for (let offset = 0; offset < text.length; offset += PIECE_BYTES) {
    const piece = text.toString("latin1", offset, Math.min(text.length, offset + PIECE_BYTES));
    if (!/^[A-Za-z0-9+/=]*$/.test(piece)) throw invalidBase64("it has characters that base64 has not");
    // A part ends with its padding; the decoder would stop there.
    for (const part of piece.match(/[^=]+={0,2}/g) ?? []) length += text.write(part, length, "base64");
  }
  return body.subarray(0, length);
}

function invalidBase64(why: string): Error {
  return invalidArgument("BASE64_INVALID", `the body of a gRPC-Web call as text is base64, and this one is not: ${why}`);
}
