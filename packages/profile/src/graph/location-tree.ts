/**
 * Location trees: stacktraces with lines, addresses and mappings, merged from several datasets, and cut down for pprof.
 * Every function here returns a new tree with symbols of its own, and does not change the one that it is given.
 */
import { decodeUtf8, encodeUtf8 } from "@pyromesh/base";
import { OTHER } from "./flame-graph.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import { StacktraceInterner } from "../dataset/stacktrace-interner.ts";
import { NO_STACKTRACE } from "../model/stacktrace-tree.ts";
import type { LocationTree } from "../model/stacktrace-tree.ts";
import { SumColumn, sumAt, sumOf, thresholdOf, totalsOf } from "../model/sums.ts";
import { SymbolInterner } from "../dataset/symbol-interner.ts";
import { symbolsNow } from "../model/symbol-table.ts";
import type { Symbols } from "../model/symbol-table.ts";

/** Merges any number of location trees exactly: nodes with equal symbols are one. Values at the roots are moved into a frame `NO_STACKTRACE`. */
export class LocationTreeMerger {
  readonly #symbols = new SymbolInterner();
  readonly #tree = new StacktraceInterner();
  readonly #self = new SumColumn(1);

  /** After an interrupt the merger must not be used. */
  add(added: LocationTree, interrupt: Interrupt = UNINTERRUPTED): void {
    const { location } = this.#symbols.translate(added.symbols, interrupt);
    const { nodeCount, nodeParent, nodeLocation } = added.tree;
    const target = new Uint32Array(nodeCount);
    for (let node = 1; node < nodeCount; node++) {
      interrupt.after(1);
      target[node] = this.#tree.child(target[nodeParent[node]!]!, location[nodeLocation[node]!]!);
    }
    if (sumAt(added.self, 0) !== 0) target[0] = this.#tree.child(0, this.#symbols.translate(symbolsOf(NO_STACKTRACE)).location[1]!);
    this.#self.grow(this.#tree.nodeCount);
    this.#self.addAll(added.self, nodeCount, target);
  }

  /** Shares its columns with the merger, so nothing may be added afterwards. */
  result(): LocationTree {
    return { tree: this.#tree, self: this.#self.view(), symbols: this.#symbols };
  }
}

/** Keeps the `maxNodes` nodes with the greatest totals (below 1: all). The rest of each parent becomes one frame `other`. */
export function truncateLocations(source: LocationTree, maxNodes: number, interrupt: Interrupt = UNINTERRUPTED): LocationTree {
  const { nodeCount, nodeParent, nodeLocation } = source.tree;
  const totals = totalsOf(nodeParent, nodeCount, source.self);
  const threshold = thresholdOf(nodeCount - 1, (index) => sumAt(totals, index + 1), maxNodes);
  if (threshold === 0) return source;
  const symbols = new SymbolInterner();
  const location = symbols.translate(source.symbols, interrupt).location.slice();
  const other = symbols.translate(symbolsOf(OTHER)).location[1]!;
  const tree = new StacktraceInterner();
  const self = new SumColumn(1);
  self.raise(sumAt(totals, 0));
  const target = new Uint32Array(nodeCount);
  const isLeft = new Uint8Array(nodeCount);
  self.addFrom(0, source.self, 0);
  for (let node = 1; node < nodeCount; node++) {
    interrupt.after(1);
    const parent = nodeParent[node]!;
    const total = sumAt(totals, node);
    if (isLeft[parent] === 1 || total === 0) {
      isLeft[node] = 1;
      continue;
    }
    const isKept = total >= threshold;
    if (!isKept) isLeft[node] = 1;
    target[node] = tree.child(target[parent]!, isKept ? location[nodeLocation[node]!]! : other);
    self.grow(tree.nodeCount);
    self.addFrom(target[node]!, isKept ? source.self : totals, node);
  }
  return { tree, self: self.view(), symbols };
}

export interface GoPgo {
  /** How many locations are kept, counted from the leaf; 0: all. */
  readonly keepLocations: number;
  /** Drops the line number of the leaf's function, so that stacktraces that differ in it only are merged. */
  readonly aggregateCallees: boolean;
}

/** Shortens stacktraces for Go's profile-guided optimisation, which uses only hot calls near the leaves. */
export function goPgoLocations(source: LocationTree, goPgo: GoPgo, interrupt: Interrupt = UNINTERRUPTED): LocationTree {
  const { nodeCount, nodeParent, nodeLocation } = source.tree;
  const symbols = new SymbolInterner();
  const location = symbols.translate(source.symbols, interrupt).location.slice();
  const leafLocation = goPgo.aggregateCallees ? symbols.translate(withoutLeafLines(source.symbols)).location.slice() : location;
  const tree = new StacktraceInterner();
  const self = new SumColumn(1);
  self.raise(sumOf(source.self, nodeCount));
  self.addFrom(0, source.self, 0);
  const kept: number[] = [];
  for (let leaf = 1; leaf < nodeCount; leaf++) {
    if (sumAt(source.self, leaf) === 0) continue;
    interrupt.after(8);
    kept.length = 0;
    for (let node = leaf; node !== 0; node = nodeParent[node]!) {
      if (goPgo.keepLocations > 0 && kept.length === goPgo.keepLocations) break;
      kept.push((node === leaf ? leafLocation : location)[nodeLocation[node]!]!);
    }
    let target = 0;
    for (let at = kept.length - 1; at >= 0; at--) target = tree.child(target, kept[at]!);
    self.grow(tree.nodeCount);
    self.addFrom(target, source.self, leaf);
  }
  return { tree, self: self.view(), symbols };
}

/** A string of a symbol table. */
export function stringAt(symbols: Symbols, id: number): string {
  // Copied, since a TextDecoder refuses shared memory, where cached sections lie.
  return decodeUtf8(symbols.stringBytes.slice(symbols.stringOffset[id]!, symbols.stringOffset[id + 1]!));
}

/**
 * The name of a location without lines: its mapping and its address, `library.so!0xcafe04000`. Where the mapping has no name, the address
 * alone, in hexadecimal without `0x`, as Pyroscope shows it.
 */
export function addressName(symbols: Symbols, location: number): string {
  const high = symbols.locationAddressHigh[location]!;
  const low = symbols.locationAddressLow[location]!;
  const address = high === 0 ? low.toString(16) : high.toString(16) + low.toString(16).padStart(8, "0");
  const path = stringAt(symbols, symbols.mappingFilename[symbols.locationMapping[location]!]!);
  const file = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
  return file === "" ? address : `${file}!0x${address}`;
}

/** Symbols of one location (1) with one line, in a function of this name. */
function symbolsOf(name: string): Symbols {
  const bytes = encodeUtf8(name);
  return {
    stringCount: 2,
    stringBytes: bytes,
    stringOffset: Uint32Array.of(0, 0, bytes.length),
    mappingCount: 1,
    mappingStart: new BigUint64Array(1),
    mappingLimit: new BigUint64Array(1),
    mappingFileOffset: new BigUint64Array(1),
    mappingFilename: new Uint32Array(1),
    mappingBuildId: new Uint32Array(1),
    mappingFlags: new Uint8Array(1),
    functionCount: 2,
    functionName: Uint32Array.of(0, 1),
    functionSystemName: Uint32Array.of(0, 1),
    functionFilename: new Uint32Array(2),
    functionStartLine: new Float64Array(2),
    locationCount: 2,
    locationMapping: new Uint32Array(2),
    locationAddressLow: new Uint32Array(2),
    locationAddressHigh: new Uint32Array(2),
    locationFlags: new Uint8Array(2),
    lineStart: Uint32Array.of(0, 0, 1),
    lineCount: 1,
    lineFunction: Uint32Array.of(1),
    lineNumber: new Float64Array(1),
  };
}

/** The same symbols, every location without address and without the line number of its leaf-most function. */
function withoutLeafLines(symbols: Symbols): Symbols {
  const lineNumber = symbols.lineNumber.slice(0, symbols.lineCount);
  for (let location = 1; location < symbols.locationCount; location++) {
    const line = symbols.lineStart[location]!;
    if (line < symbols.lineStart[location + 1]!) lineNumber[line] = 0;
  }
  const hasLines = (location: number): boolean => symbols.lineStart[location] !== symbols.lineStart[location + 1];
  // A location without lines keeps its address, since it has no other name.
  const blank = (column: Uint32Array): Uint32Array =>
    column.slice(0, symbols.locationCount).map((address, location) => (location > 0 && hasLines(location) ? 0 : address));
  return { ...symbolsNow(symbols), locationAddressLow: blank(symbols.locationAddressLow), locationAddressHigh: blank(symbols.locationAddressHigh), lineNumber };
}
