import { VarintCursor } from "@pyromesh/base";

/** [from, to) of each top-level field of a pprof whose fields are varints or have a length. */
export function pprofFields(pprof: Uint8Array): { readonly tag: number; readonly from: number; readonly to: number }[] {
  const fields: { tag: number; from: number; to: number }[] = [];
  const cursor = new VarintCursor(pprof);
  while (cursor.offset < pprof.length) {
    const from = cursor.offset;
    const tag = cursor.next();
    const value = cursor.next();
    if ((tag & 7) === 2) cursor.offset += value;
    fields.push({ tag, from, to: cursor.offset });
  }
  return fields;
}
