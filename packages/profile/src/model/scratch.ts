/**
 * Scratch columns: typed arrays kept between pushes and records, so that the hot path allocates next to nothing.
 * They grow by doubling, to at least the length that is asked for, and keep their contents.
 */

type Column = Uint8Array | Uint32Array | Float64Array | BigUint64Array;

export function grown<T extends Column>(column: T, lengthMin: number): T {
  if (lengthMin <= column.length) return column;
  const length = Math.max(lengthMin, column.length * 2);
  const larger = new (column.constructor as new (length: number) => T)(length); // a typed array's constructor makes its own kind
  larger.set(column as never); // same kind, so the elements fit
  return larger;
}

/** Like `grown`, but the first `length` entries are 0. */
export function cleared<T extends Uint8Array | Uint32Array>(column: T, length: number): T {
  const scratch = grown(column, length);
  scratch.fill(0, 0, length);
  return scratch;
}
