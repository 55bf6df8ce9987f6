/**
 * Which locations of a push are alike once type parameters were taken out of its names (fix-go.ts):
 *
 *   Map[go.shape.string].Get  map.go:12        both are Map.Get map.go:12 now: where they have one mapping and address, too, they are
 *   Map[go.shape.int].Get     map.go:12        one location to Pyroscope, which merges such a profile before it looks at stacktraces
 *
 * Only functions with a collapsed name are compared: what a profile holds twice for other reasons stays as it is.
 */
import type { PprofDecoder } from "../pprof/pprof-decode.ts";

export interface EqualLocations {
  /** Location id -> the id of the first location that is equal to it. Those that are the first are left out. Ids are the push's own. */
  readonly sameAs: ReadonlyMap<number, number>;
  /** Location id -> the number that Pyroscope gives it: its place among the locations that are left. */
  readonly orderOf: (id: number) => number;
}

/** To be called before ids are replaced by indexes. `collapsedNames`: the strings to which names were collapsed. */
export function equalLocations(decoded: PprofDecoder, collapsedNames: ReadonlySet<number>): EqualLocations {
  const { locationCount, locationId, lineStart, lineFunction, lineNumber, locationMapping, locationAddressLow, locationAddressHigh } = decoded;
  const functions = equalFunctions(decoded, collapsedNames);
  const sameAs = new Map<number, number>();
  const firstByKey = new Map<string, number>();
  const order = new Map<number, number>();
  let count = 0;
  for (let i = 1; i <= locationCount; i++) {
    const id = locationId[i]!;
    const first = functions.size === 0 ? id : firstLike(i, id);
    if (first === id) order.set(id, ++count);
    else {
      sameAs.set(id, first);
      order.set(id, order.get(first)!); // the first was met before
    }
  }
  return { sameAs, orderOf: (id) => order.get(id) ?? 0 };

  function firstLike(location: number, id: number): number {
    let key = "";
    let isTouched = false;
    for (let line = lineStart[location]!; line < lineStart[location + 1]!; line++) {
      const called = functions.get(lineFunction[line]!);
      if (called !== undefined) isTouched = true;
      key += `${called ?? lineFunction[line]!}:${lineNumber[line]!};`;
    }
    if (!isTouched) return id;
    key += `${locationMapping[location]!} ${locationAddressHigh[location]!} ${locationAddressLow[location]!}`;
    const known = firstByKey.get(key);
    if (known === undefined) firstByKey.set(key, id);
    return known ?? id;
  }
}

/** Function id -> the id of the first function that is equal to it, including that one. Functions that have no equal are left out. */
function equalFunctions(decoded: PprofDecoder, collapsedNames: ReadonlySet<number>): ReadonlyMap<number, number> {
  const { functionCount, functionId, functionName, functionSystemName, functionFilename, functionStartLine } = decoded;
  const spelled = spellings(decoded, collapsedNames);
  const byKey = new Map<string, number[]>();
  for (let i = 1; i <= functionCount; i++) {
    const name = spelled.get(functionName[i]!);
    if (name === undefined) continue;
    const systemName = spelled.get(functionSystemName[i]!) ?? functionSystemName[i]!;
    const key = `${name} ${systemName} ${functionFilename[i]!} ${functionStartLine[i]!}`;
    const alike = byKey.get(key);
    if (alike === undefined) byKey.set(key, [functionId[i]!]);
    else alike.push(functionId[i]!);
  }
  const first = new Map<number, number>();
  for (const alike of byKey.values()) if (alike.length > 1) for (const id of alike) first.set(id, alike[0]!);
  return first;
}

/** String -> the collapsed string with the same text: a name may occur both with type parameters and without. */
function spellings({ bytes, stringCount, stringStart, stringEnd }: PprofDecoder, collapsedNames: ReadonlySet<number>): ReadonlyMap<number, number> {
  const text = (string: number): string => Buffer.from(bytes.buffer, bytes.byteOffset + stringStart[string]!, stringEnd[string]! - stringStart[string]!).toString("latin1");
  const byText = new Map([...collapsedNames].map((string) => [text(string), string]));
  const lengths = new Set([...byText.keys()].map(({ length }) => length));
  const spelled = new Map<number, number>();
  for (let string = 0; string < stringCount; string++) {
    if (!lengths.has(stringEnd[string]! - stringStart[string]!)) continue;
    const collapsed = byText.get(text(string));
    if (collapsed !== undefined) spelled.set(string, collapsed);
  }
  return spelled;
}
