/**
 * Bytes in memory that threads share, counted so that they are collected in time.
 *
 * V8 frees a shared buffer once every thread has collected its handle. It counts the buffer's bytes towards no thread's memory, so a
 * thread that handles few objects and many shared bytes has no reason to collect: 200 buffers of 19 MiB, each garbage at once,
 * took 5 GB. So each handle has a companion that dies with it: a resizable buffer of the same length that nobody touches. V8
 * counts it and starts to collect after some 64 MiB. It takes addresses but no memory (a buffer that is not resizable would take both).
 */

/** Smaller ones cost more to count than they hold. */
const COUNTED_BYTES_MIN = 64 * 2 ** 10;

/** Node 20 has resizable buffers; the library of ES2023 that the compiler knows does not. */
const ResizableBuffer = ArrayBuffer as new (lengthBytes: number, options: { readonly maxByteLength: number }) => ArrayBuffer;

const companions = new WeakMap<ArrayBufferLike, ArrayBuffer>();

/** Zeros, and counted in this thread. */
export function sharedBytes(lengthBytes: number): Uint8Array<SharedArrayBuffer> {
  const bytes = new Uint8Array(new SharedArrayBuffer(lengthBytes));
  countShared(bytes);
  return bytes;
}

/** For bytes that came from another thread: a handle counts in the thread that called this. Bytes that are not shared count already. */
export function countShared({ buffer }: Uint8Array): void {
  const { byteLength } = buffer;
  if (byteLength < COUNTED_BYTES_MIN || !(buffer instanceof SharedArrayBuffer) || companions.has(buffer)) return;
  companions.set(buffer, new ResizableBuffer(byteLength, { maxByteLength: byteLength }));
}
