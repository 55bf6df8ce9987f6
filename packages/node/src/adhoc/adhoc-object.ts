/**
 * An ad hoc profile as an object of the bucket: the file as it was uploaded, behind a header. Numbers are little-endian.
 *
 *    0   "PMAH"
 *    4   u32   version: 1
 *    8   u32   length of the file in bytes
 *   12   u32   crc32 of the file
 *   16   the file, gzipped or not
 *
 * Its name and time are in its key (adhoc-id.ts). What must stay true: magic, version, length and checksum are all checked when it is read, since who may write
 * to the bucket may write anything.
 */
import { CodedError, crc32 } from "@pyromesh/base";
import { OUTPUT_BYTES_MAX } from "../compute/body-size.ts";

const MAGIC = Buffer.from("PMAH");
const VERSION = 1;
const HEADER_BYTES = 16;

/** No file that can be decoded is larger, compressed or not. */
export const FILE_BYTES_MAX: number = OUTPUT_BYTES_MAX;
export const ADHOC_OBJECT_BYTES_MAX: number = FILE_BYTES_MAX + HEADER_BYTES;

export function encodeAdHocObject(file: Uint8Array): Uint8Array {
  const object = Buffer.alloc(HEADER_BYTES + file.length);
  MAGIC.copy(object);
  object.writeUInt32LE(VERSION, 4);
  object.writeUInt32LE(file.length, 8);
  object.writeUInt32LE(crc32(file), 12);
  object.set(file, HEADER_BYTES);
  return object;
}

/** The file, as a view. Throws ADHOC_DAMAGED. */
export function decodeAdHocObject(object: Uint8Array, key: string): Uint8Array {
  if (object.length < HEADER_BYTES) throw adHocDamaged(key, `at least ${HEADER_BYTES} bytes`, `${object.length}`);
  const view = new DataView(object.buffer, object.byteOffset, object.byteLength);
  if (MAGIC.some((byte, at) => object[at] !== byte)) throw adHocDamaged(key, `"PMAH" at byte 0`, "other bytes");
  const version = view.getUint32(4, true);
  if (version !== VERSION) throw adHocDamaged(key, `version ${VERSION} at byte 4`, `${version}`);
  const file = object.subarray(HEADER_BYTES);
  const lengthBytes = view.getUint32(8, true);
  if (lengthBytes !== file.length) throw adHocDamaged(key, `a file of ${lengthBytes} bytes, as byte 8 says`, `${file.length}`);
  const sum = view.getUint32(12, true);
  if (sum !== crc32(file)) throw adHocDamaged(key, `the checksum ${sum} of byte 12`, `${crc32(file)}`);
  return file;
}

export function adHocDamaged(key: string, expected: string, found: string): CodedError {
  return new CodedError({
    code: "ADHOC_DAMAGED",
    kind: "data_loss",
    message: `object ${JSON.stringify(key.slice(0, 400))} of the bucket is not the upload that it was: expected ${expected}, found ${found}; upload the file again`,
    details: { key },
  });
}
