/**
 * Memory for a large body, which is freed when its user says so, not when a collection finds it.
 *
 * It is a resizable buffer. V8 gives each one pages of its own, so it grows in place, and its pages go back to the operating system the moment it has no
 * length any more. Other buffers come from the C library's heap, up to 32 MiB each, and a heap only shrinks at its end. A buffer is not freed by detaching
 * it: V8 would compile all code of typed arrays anew (docs/decisions/0006).
 *
 * What must stay true: nobody uses the bytes after `freeBytes`. Who reads them in JavaScript finds none; a thread of Node.js' pool that still reads them ends the
 * process.
 */

/** Smaller bodies are not worth pages of their own. */
export const LARGE_BYTES_MIN: number = 2 ** 20;

interface Resizable extends ArrayBuffer {
  readonly resizable: boolean;
  resize(lengthBytes: number): void;
}

/** Node 20 has resizable buffers; the library of ES2023 that the compiler knows does not. */
const ResizableBuffer = ArrayBuffer as unknown as new (lengthBytes: number, options: { readonly maxByteLength: number }) => Resizable;

/** Zeros. Grow them with `grownTo`, up to `lengthBytesMax`, of which no more than the length takes memory. */
export function largeBytes(lengthBytes: number, lengthBytesMax: number = lengthBytes): Uint8Array {
  return new Uint8Array(new ResizableBuffer(lengthBytes, { maxByteLength: lengthBytesMax }), 0, lengthBytes);
}

/** The same memory, which is longer now, with zeros at its end. For what `largeBytes` or this returned. */
export function grownTo(bytes: Uint8Array, lengthBytes: number): Uint8Array {
  const buffer = bytes.buffer as Resizable; // of largeBytes
  buffer.resize(lengthBytes);
  return new Uint8Array(buffer, 0, lengthBytes);
}

/** True where `freeBytes` frees the memory in which they lie. */
export function areLargeBytes({ buffer }: Uint8Array): boolean {
  return (buffer as Resizable).resizable === true; // undefined of a shared one
}

/** Frees all of the memory in which the bytes lie. No effect on bytes that are not of `largeBytes`. */
export function freeBytes(bytes: Uint8Array): void {
  if (areLargeBytes(bytes)) (bytes.buffer as Resizable).resize(0); // of largeBytes
}
