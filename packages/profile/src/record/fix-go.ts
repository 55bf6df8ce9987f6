/**
 * Repairs the names in Go profiles: generic functions are named once per shape of their type parameters
 * (`Map[go.shape.string,go.shape.int].Get`), so that one source function would be many; they are collapsed to `Map.Get`.
 * Stacktraces that Go's runtime cut off are repaired in fix-go-truncated.ts.
 */
import type { PprofDecoder } from "../pprof/pprof-decode.ts";
import { StringRewrite } from "../pprof/string-rewrite.ts";

const SHAPE = "[go.shape.";
const shapeBytes = Buffer.from(SHAPE, "latin1");

/** Returns the strings that it made. Only Go's compiler writes such names, so where there is one the profile is Go's. */
export function collapseGoTypeParameters(decoded: PprofDecoder): ReadonlySet<number> {
  const { bytes, stringStart, stringEnd, stringCount, functionCount, functionName, functionSystemName } = decoded;
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let found = input.indexOf(shapeBytes);
  if (found < 0) return NO_STRINGS;
  const rewrite = new StringRewrite(decoded);
  const collapsed = new Map<number, number>();
  // Strings follow each other in the input, so one pass over all matches meets the strings in order.
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
  return new Set(collapsed.values());
}

const NO_STRINGS: ReadonlySet<number> = new Set();

/** Brackets may be nested. A bracket that is never closed stays, with everything behind it. */
export function withoutTypeParameters(name: string): string {
  let kept = "";
  let pos = 0;
  for (;;) {
    const from = name.indexOf(SHAPE, pos);
    const to = from < 0 ? -1 : closingBracket(name, from);
    if (to < 0) return kept + name.slice(pos);
    kept += name.slice(pos, from);
    pos = to + 1;
  }
}

/** Where the bracket at `from` is closed; -1 where it is not. */
function closingBracket(name: string, from: number): number {
  let depth = 0;
  for (let i = from; i < name.length; i++) {
    if (name[i] === "[") depth++;
    else if (name[i] === "]" && --depth === 0) return i;
  }
  return -1;
}
