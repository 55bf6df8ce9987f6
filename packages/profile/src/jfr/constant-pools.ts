/**
 * The constants of a chunk: where the value of each id lies, by type. They are read where an event leads to them, and most never are.
 *
 *   checkpoint: size, type 1, start, duration, offset to the checkpoint before (0: there is none), flags u8,
 *               count of pools, then each: id of its type, count of values, (id, value) each
 *
 * The checkpoints of a chunk are a list from the last to the first. Each must end before the one that it was reached from, so that the
 * list ends and no byte is read twice.
 */
import { JfrCursor, unreadable } from "./jfr-cursor.ts";
import type { JfrType } from "./metadata.ts";
import { PoolIndex } from "./pool-index.ts";
import type { ValueLayouts } from "./value-layout.ts";

/** The types whose constants are kept. */
export const POOL_STRING = "java.lang.String";
export const POOL_SYMBOL = "jdk.types.Symbol";
export const POOL_CLASS = "java.lang.Class";
export const POOL_METHOD = "jdk.types.Method";
export const POOL_STACK_TRACE = "jdk.types.StackTrace";
export const POOL_THREAD_STATE = "jdk.types.ThreadState";

export type PoolName = typeof POOL_STRING | typeof POOL_SYMBOL | typeof POOL_CLASS | typeof POOL_METHOD | typeof POOL_STACK_TRACE | typeof POOL_THREAD_STATE;

const POOL_NAMES: readonly PoolName[] = [POOL_STRING, POOL_SYMBOL, POOL_CLASS, POOL_METHOD, POOL_STACK_TRACE, POOL_THREAD_STATE];

export type ConstantPools = Readonly<Record<PoolName, PoolIndex>>;

export function dangling(at: number, pool: PoolName, id: number): Error {
  return unreadable(at, `it names ${pool} ${id}, which is in no checkpoint of the chunk`);
}

/** Throws a refusal. `from` and `end` are the first byte behind the header and the end of the chunk. */
export function readConstantPools(recording: Uint8Array, layouts: ValueLayouts, place: { readonly lastCheckpointAt: number; readonly from: number; readonly end: number }): ConstantPools {
  const pools = Object.fromEntries(POOL_NAMES.map((name) => [name, new PoolIndex((place.end - place.from) >> 1)])) as Record<PoolName, PoolIndex>; // one for each name
  const cursor = new JfrCursor(recording);
  let at = place.lastCheckpointAt;
  let endMax = place.end;
  for (;;) {
    cursor.at = at;
    cursor.end = endMax;
    const sizeBytes = cursor.id();
    if (sizeBytes > endMax - at) throw unreadable(at, `the checkpoint of ${sizeBytes} bytes reaches into the one behind it, or beyond the chunk`);
    cursor.end = at + sizeBytes;
    const type = cursor.long();
    if (type !== CHECKPOINT_TYPE) throw unreadable(at, `an event of type ${type} stands where a checkpoint should`);
    cursor.skipLongs(2);
    cursor.wide();
    const offset = Number(BigInt.asIntN(64, (BigInt(cursor.high) << 32n) | BigInt(cursor.low)));
    cursor.skipBytes(1);
    readPools(cursor, layouts, pools);
    if (offset === 0) break;
    if (offset > 0 || at + offset < place.from) throw unreadable(at, `the checkpoint before this one is said to be ${offset} bytes from it, which is not before it in the chunk`);
    endMax = at;
    at += offset;
  }
  for (const pool of Object.values(pools)) pool.seal();
  return pools;
}

const CHECKPOINT_TYPE = 1;

function readPools(cursor: JfrCursor, layouts: ValueLayouts, pools: Record<PoolName, PoolIndex>): void {
  const poolCount = cursor.count();
  for (let i = 0; i < poolCount; i++) {
    const { at } = cursor;
    const typeId = cursor.long();
    const type = layouts.types.byId.get(typeId);
    if (type === undefined) throw unreadable(at, `constants are of type ${typeId}, which is not described`);
    const pool = Object.hasOwn(pools, type.name) ? pools[type.name as PoolName] : undefined;
    readPool(cursor, layouts, type, pool);
  }
}

function readPool(cursor: JfrCursor, layouts: ValueLayouts, type: JfrType, pool: PoolIndex | undefined): void {
  const layout = layouts.of(type);
  const count = cursor.count();
  if (pool === undefined) {
    for (let i = 0; i < count; i++) {
      cursor.skipLongs(1);
      layout.skip(cursor);
    }
    return;
  }
  for (let i = 0; i < count; i++) {
    const id = cursor.id();
    pool.add(id, cursor.at);
    layout.skip(cursor);
  }
}
