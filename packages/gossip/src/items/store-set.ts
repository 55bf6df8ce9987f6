/** Sets of store ids as sorted arrays: small, compared and written as they stand, shared between entries because nothing changes them. */
import type { StoreId } from "@pyromesh/ring";

/** Returns `a` itself where `b` adds nothing. */
export function unionOf(a: readonly StoreId[], b: readonly StoreId[]): readonly StoreId[] {
  if (b.length === 0 || a === b) return a;
  if (a.length === 0) return b;
  const all: StoreId[] = [];
  let at = 0;
  let isMore = false;
  for (const store of b) {
    while (at < a.length && a[at]! < store) all.push(a[at++]!);
    if (at < a.length && a[at] === store) at++;
    else isMore = true;
    all.push(store);
  }
  while (at < a.length) all.push(a[at++]!);
  return isMore ? all : a;
}

export function includesStore(set: readonly StoreId[], store: StoreId): boolean {
  let low = 0;
  let high = set.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (set[middle]! < store) low = middle + 1;
    else high = middle;
  }
  return set[low] === store;
}

/** Sorted, and each once: what a message claims to be a set. */
export function isStoreSet(set: readonly StoreId[]): boolean {
  for (let at = 1; at < set.length; at++) if (set[at - 1]! >= set[at]!) return false;
  return true;
}
