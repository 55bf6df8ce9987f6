/** [from, to) of each top-level field of a pprof whose fields are varints or have a length. */
export function pprofFields(pprof: Uint8Array): { readonly tag: number; readonly from: number; readonly to: number }[] {
  const fields: { tag: number; from: number; to: number }[] = [];
  let pos = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = pprof[pos++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (pos < pprof.length) {
    const from = pos;
    const tag = varint();
    if ((tag & 7) === 2) {
      const length = varint();
      pos += length;
    } else varint();
    fields.push({ tag, from, to: pos });
  }
  return fields;
}
