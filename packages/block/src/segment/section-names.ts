/**
 * The section NAMES: the dataset's stacktraces by function name, so that a flame graph opens neither functions, locations nor
 * the stacktrace tree. All numbers are uvarints unless said otherwise; columns lie one after another.
 *
 *   NAMES   name count | per name: string id + 1, or 0 for one that is an address
 *           | addresses, of the names that are one (uvarint64)
 *           | a tree as in TREE: node count | per node: id - parent | per node: name
 *           | stack count | per stack (STACKS has the same ones in the same order): its node here, minus the one before, zigzag
 *
 *       locations   root ── a ── b [b inlined in c]          names   root ── main ── parse ── read
 *                           \                                                 \
 *                            d                                                 work
 *
 * Inlined frames are nodes, callers first; a location without lines stands under its address; locations of one function are
 * one node. Two names may read the same (an address and a function called so): whoever merges name trees does it by text.
 *
 * To a scan this is a dataset like any other, whose locations are the names: what `nameTreeOf` makes of it is what it makes
 * of the locations themselves, unless some are addresses: those are named by their mappings, which are not in here.
 */
import { ByteReader, ByteWriter } from "@pyromesh/base";
import type { StacktraceTree, Symbols } from "@pyromesh/profile";
import { StacktraceInterner } from "@pyromesh/profile";
import type { Frames } from "./frames.ts";
import { below, countOf, encodeTree, endOf, readTree } from "./section-symbols.ts";

export function encodeNames(symbols: Symbols, tree: StacktraceTree, stackNodes: Uint32Array): Uint8Array {
  const names = new NameIds(symbols);
  const merged = new StacktraceInterner();
  const nodeOf = new Uint32Array(tree.nodeCount);
  for (let node = 1; node < tree.nodeCount; node++) {
    let at = nodeOf[tree.nodeParent[node]!]!;
    const location = tree.nodeLocation[node]!;
    const first = symbols.lineStart[location]!;
    const end = symbols.lineStart[location + 1]!;
    if (first === end) at = merged.child(at, names.ofAddress(location));
    for (let line = end - 1; line >= first; line--) at = merged.child(at, names.ofString(symbols.functionName[symbols.lineFunction[line]!]!));
    nodeOf[node] = at;
  }
  const out = new ByteWriter(names.codes.length * 3 + merged.nodeCount * 4 + stackNodes.length * 2);
  out.uvarint(names.codes.length);
  for (const code of names.codes) out.uvarint(code);
  for (const address of names.addresses) out.uvarint64(address);
  out.raw(encodeTree(merged));
  out.uvarint(stackNodes.length);
  let previous = 0;
  for (const stackNode of stackNodes) {
    const delta = nodeOf[stackNode]! - previous;
    previous = nodeOf[stackNode]!;
    out.uvarint(delta < 0 ? -delta * 2 - 1 : delta * 2);
  }
  return out.finish();
}

/** Names by number, from 1: what a location is to a stacktrace tree. */
class NameIds {
  readonly codes: number[] = [];
  readonly addresses: bigint[] = [];
  readonly #symbols: Symbols;
  readonly #ofString: Uint32Array;
  readonly #ofAddress = new Map<bigint, number>();

  constructor(symbols: Symbols) {
    this.#symbols = symbols;
    this.#ofString = new Uint32Array(symbols.stringCount);
  }

  ofString(id: number): number {
    if (this.#ofString[id] === 0) this.#ofString[id] = this.codes.push(id + 1);
    return this.#ofString[id]!;
  }

  ofAddress(location: number): number {
    const { locationAddressHigh, locationAddressLow } = this.#symbols;
    const address = (BigInt(locationAddressHigh[location]!) << 32n) | BigInt(locationAddressLow[location]!);
    let name = this.#ofAddress.get(address);
    if (name === undefined) {
      name = this.codes.push(0);
      this.addresses.push(address);
      this.#ofAddress.set(address, name);
    }
    return name;
  }
}

/** The same stacktraces, each name a location of one line (or of none, for an address). */
export function decodeNames(raw: Uint8Array, strings: Pick<Symbols, "stringCount" | "stringBytes" | "stringOffset">, object: string): Frames {
  const reader = new ByteReader(raw, `${object} NAMES`);
  const nameCount = countOf(reader, 1);
  const locationCount = nameCount + 1;
  const functionName = new Uint32Array(locationCount);
  const lineStart = new Uint32Array(locationCount + 1);
  const lineFunction = new Uint32Array(nameCount);
  for (let name = 1; name < locationCount; name++) {
    const code = below(reader, strings.stringCount + 1);
    lineStart[name + 1] = lineStart[name]!;
    if (code === 0) continue;
    functionName[name] = code - 1;
    lineFunction[lineStart[name + 1]!++] = name;
  }
  const locationAddressLow = new Uint32Array(locationCount);
  const locationAddressHigh = new Uint32Array(locationCount);
  for (let name = 1; name < locationCount; name++) {
    if (lineStart[name + 1] !== lineStart[name]) continue;
    const address = reader.uvarint64();
    locationAddressLow[name] = Number(address & 0xffffffffn);
    locationAddressHigh[name] = Number(address >> 32n);
  }
  const tree = readTree(reader, locationCount);
  const stackCount = countOf(reader, 1);
  const stacks = new Uint32Array(stackCount);
  let node = 0;
  for (let stack = 0; stack < stackCount; stack++) {
    const delta = reader.uvarint();
    node += delta % 2 === 0 ? delta / 2 : -(delta + 1) / 2;
    if (node < 0 || node >= tree.nodeCount) reader.fail(`a node below ${tree.nodeCount}`, `${node}`);
    stacks[stack] = node;
  }
  endOf(reader);
  const none = new Uint32Array(locationCount);
  const symbols: Symbols = {
    ...strings,
    mappingCount: 1,
    mappingStart: new BigUint64Array(1),
    mappingLimit: new BigUint64Array(1),
    mappingFileOffset: new BigUint64Array(1),
    mappingFilename: none,
    mappingBuildId: none,
    mappingFlags: new Uint8Array(1),
    functionCount: locationCount,
    functionName,
    functionSystemName: functionName,
    functionFilename: none,
    functionStartLine: new Float64Array(locationCount),
    locationCount,
    locationMapping: none,
    locationAddressLow,
    locationAddressHigh,
    locationFlags: new Uint8Array(locationCount),
    lineStart,
    lineCount: lineStart[locationCount]!,
    lineFunction,
    lineNumber: new Float64Array(nameCount),
  };
  return { symbols, tree, stacks };
}
