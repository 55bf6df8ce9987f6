/**
 * Mends Go profiles: generic functions are named once per shape of their type parameters
 * (`Map[go.shape.string,go.shape.int].Get`), so that one source function would be many; they are collapsed to `Map[...].Get`.
 */
import type { PprofDecoder } from "./pprof-decode.ts";
import { StringRewrite } from "./string-rewrite.ts";

const SHAPE = "[go.shape.";
const shapeBytes = Buffer.from(SHAPE, "latin1");

/** Only Go's compiler writes such names, so finding one tells a Go profile. */
export function collapseGoTypeParameters(decoded: PprofDecoder): void {
  const { bytes, stringStart, stringEnd, stringCount, functionCount, functionName, functionSystemName } = decoded;
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let found = input.indexOf(shapeBytes);
  if (found < 0) return;
  const rewrite = new StringRewrite(decoded);
  const collapsed = new Map<number, number>();
  // Strings of one table follow each other in the input, so that one walk along the finds meets them all.
  for (let i = 0; i < stringCount && found >= 0; i++) {
    if (found < stringStart[i]!) found = input.indexOf(shapeBytes, stringStart[i]);
    if (found < 0 || found >= stringEnd[i]!) continue;
    const text = decoded.text(i);
    const shorter = withoutTypeParameters(text);
    if (shorter !== text) collapsed.set(i, rewrite.add(shorter));
    found = input.indexOf(shapeBytes, stringEnd[i]);
  }
  for (let i = 1; i <= functionCount; i++) {
    functionName[i] = collapsed.get(functionName[i]!) ?? functionName[i]!;
    functionSystemName[i] = collapsed.get(functionSystemName[i]!) ?? functionSystemName[i]!;
  }
  rewrite.finish();
}

/** From the first shape to the last closing bracket, as brackets nest. */
export function withoutTypeParameters(name: string): string {
  const from = name.indexOf(SHAPE);
  if (from < 0) return name;
  const to = name.lastIndexOf("]");
  return to < from ? name : `${name.slice(0, from)}[...]${name.slice(to + 1)}`;
}
