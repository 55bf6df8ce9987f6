/**
 * The symbols and nodes that some stacktraces refer to, taken out of larger tables and numbered in the order in which the stacktraces,
 * root first, refer to them. The kernel numbers a record's columns by the same rule (../kernel/record.ts), but of pushes only; here the
 * tables may have any size.
 *
 *   stacktraces --> nodes --> locations --> lines --> functions --> strings
 *                                       \-> mappings -----------/
 */
import { RecordColumns } from "../model/record-columns.ts";
import { grown } from "../model/scratch.ts";
import type { StacktraceTree } from "../model/stacktrace-tree.ts";
import type { Symbols } from "../model/symbol-table.ts";

export interface SubsetOfSymbols {
  readonly symbols: Symbols;
  readonly tree: StacktraceTree;
  /** The node in `tree` of each stacktrace that the caller asked for, in the same order. */
  readonly nodes: Uint32Array;
}

export class SymbolSubset {
  readonly #symbols: Symbols;
  readonly #tree: StacktraceTree;
  readonly #nodes: Renumbering;
  readonly #locations: Renumbering;
  readonly #functions: Renumbering;
  readonly #mappings: Renumbering;
  readonly #strings: Renumbering;
  readonly #to = new RecordColumns();
  #path = new Uint32Array(64);
  #stringBytes = new Uint8Array(1 << 12);

  /** The tables must not change until the last call. */
  constructor(symbols: Symbols, tree: StacktraceTree) {
    this.#symbols = symbols;
    this.#tree = tree;
    this.#nodes = new Renumbering(tree.nodeCount);
    this.#locations = new Renumbering(symbols.locationCount);
    this.#functions = new Renumbering(symbols.functionCount);
    this.#mappings = new Renumbering(symbols.mappingCount);
    this.#strings = new Renumbering(symbols.stringCount);
  }

  /** `stacktraces`: nodes of the tree. Valid until the next call. */
  take(stacktraces: Uint32Array): SubsetOfSymbols {
    const nodes = this.#takeNodes(stacktraces);
    const lines = this.#takeLocations();
    this.#takeFunctions();
    this.#takeMappings();
    const stringBytes = this.#takeStrings();
    const to = this.#to;
    const counts = {
      nodes: this.#nodes.count,
      locations: this.#locations.count,
      lines,
      functions: this.#functions.count,
      mappings: this.#mappings.count,
      strings: this.#strings.count,
    };
    for (const renumbering of [this.#nodes, this.#locations, this.#functions, this.#mappings, this.#strings]) renumbering.clear();
    return { symbols: to.symbols(counts, stringBytes), tree: to.tree(counts.nodes), nodes };
  }

  #takeNodes(stacktraces: Uint32Array): Uint32Array {
    const { nodeParent, nodeLocation } = this.#tree;
    const nodes = this.#nodes;
    const to = this.#to;
    const own = new Uint32Array(stacktraces.length);
    for (let i = 0; i < stacktraces.length; i++) {
      let node = stacktraces[i]!;
      let depth = 0;
      while (node !== 0 && !nodes.has(node)) {
        this.#path = grown(this.#path, depth + 1);
        this.#path[depth++] = node;
        node = nodeParent[node]!;
      }
      let parent = nodes.of(node);
      while (depth > 0) {
        node = this.#path[--depth]!;
        const number = nodes.of(node);
        to.reserveNodes(number);
        to.nodeParent[number] = parent;
        to.nodeLocation[number] = this.#locations.of(nodeLocation[node]!);
        parent = number;
      }
      own[i] = parent;
    }
    return own;
  }

  /** Returns how many lines they have. */
  #takeLocations(): number {
    const from = this.#symbols;
    const to = this.#to;
    const { count, met } = this.#locations;
    to.reserveLocations(count, from.lineCount);
    let lines = 0;
    for (let own = 1; own <= count; own++) {
      const location = met[own]!;
      to.lineStart[own] = lines;
      to.locationMapping[own] = this.#mappings.of(from.locationMapping[location]!);
      to.locationAddressLow[own] = from.locationAddressLow[location]!;
      to.locationAddressHigh[own] = from.locationAddressHigh[location]!;
      to.locationFlags[own] = from.locationFlags[location]!;
      for (let line = from.lineStart[location]!; line < from.lineStart[location + 1]!; line++) {
        to.lineFunction[lines] = this.#functions.of(from.lineFunction[line]!);
        to.lineNumber[lines++] = from.lineNumber[line]!;
      }
    }
    to.lineStart[count + 1] = lines;
    return lines;
  }

  #takeFunctions(): void {
    const from = this.#symbols;
    const to = this.#to;
    const { count, met } = this.#functions;
    to.reserveFunctions(count);
    for (let own = 1; own <= count; own++) {
      const called = met[own]!;
      to.functionName[own] = this.#strings.of(from.functionName[called]!);
      to.functionSystemName[own] = this.#strings.of(from.functionSystemName[called]!);
      to.functionFilename[own] = this.#strings.of(from.functionFilename[called]!);
      to.functionStartLine[own] = from.functionStartLine[called]!;
    }
  }

  #takeMappings(): void {
    const from = this.#symbols;
    const to = this.#to;
    const { count, met } = this.#mappings;
    to.reserveMappings(count);
    for (let own = 1; own <= count; own++) {
      const mapping = met[own]!;
      to.mappingStart[own] = from.mappingStart[mapping]!;
      to.mappingLimit[own] = from.mappingLimit[mapping]!;
      to.mappingFileOffset[own] = from.mappingFileOffset[mapping]!;
      to.mappingFilename[own] = this.#strings.of(from.mappingFilename[mapping]!);
      to.mappingBuildId[own] = this.#strings.of(from.mappingBuildId[mapping]!);
      to.mappingFlags[own] = from.mappingFlags[mapping]!;
    }
  }

  #takeStrings(): Uint8Array {
    const { stringBytes, stringOffset } = this.#symbols;
    const to = this.#to;
    const { count, met } = this.#strings;
    to.reserveStrings(count);
    to.stringOffset[0] = to.stringOffset[1] = 0;
    let end = 0;
    for (let own = 1; own <= count; own++) {
      const text = stringBytes.subarray(stringOffset[met[own]!]!, stringOffset[met[own]! + 1]!);
      this.#stringBytes = grown(this.#stringBytes, end + text.length);
      this.#stringBytes.set(text, end);
      end += text.length;
      to.stringOffset[own + 1] = end;
    }
    return this.#stringBytes.subarray(0, end);
  }
}

/** Renumbers the entries of one table from 1, in the order in which they are asked for. 0 stays 0. */
class Renumbering {
  /** New numbers by old ones; 0: not met yet. */
  readonly #own: Uint32Array;
  /** Old numbers by new ones. */
  met: Uint32Array = new Uint32Array(64);
  count = 0;

  constructor(oldCount: number) {
    this.#own = new Uint32Array(oldCount);
  }

  has(old: number): boolean {
    return this.#own[old] !== 0;
  }

  of(old: number): number {
    if (old === 0) return 0;
    const known = this.#own[old]!;
    if (known !== 0) return known;
    const own = ++this.count;
    this.met = grown(this.met, own + 1);
    this.met[own] = old;
    this.#own[old] = own;
    return own;
  }

  clear(): void {
    for (let own = 1; own <= this.count; own++) this.#own[this.met[own]!] = 0;
    this.count = 0;
  }
}
