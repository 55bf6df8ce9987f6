/**
 * Interns symbols of many records into one table: the same string, function, location or mapping gets the same id.
 *
 * Hash tables are open-addressed Uint32Arrays of ids (0: empty slot; id 0 is "none" and never stored), at most half full.
 * A hash only says where to look: equality is always checked on the columns themselves.
 * The table grows with every new symbol; the caller bounds it by cutting, since a cut ends its dataset.
 */
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import { grown } from "../model/scratch.ts";
import type { Symbols } from "../model/symbol-table.ts";

/** Ids of a record's symbols in this table. Valid until the next `translate`. */
export interface Translation {
  readonly location: Uint32Array;
}

export class SymbolInterner implements Symbols {
  stringCount = 1;
  stringBytes: Uint8Array = new Uint8Array(1 << 12);
  stringOffset: Uint32Array = new Uint32Array(1 << 8);
  mappingCount = 1;
  mappingStart: BigUint64Array = new BigUint64Array(8);
  mappingLimit: BigUint64Array = new BigUint64Array(8);
  mappingFileOffset: BigUint64Array = new BigUint64Array(8);
  mappingFilename: Uint32Array = new Uint32Array(8);
  mappingBuildId: Uint32Array = new Uint32Array(8);
  mappingFlags: Uint8Array = new Uint8Array(8);
  functionCount = 1;
  functionName: Uint32Array = new Uint32Array(1 << 8);
  functionSystemName: Uint32Array = new Uint32Array(1 << 8);
  functionFilename: Uint32Array = new Uint32Array(1 << 8);
  functionStartLine: Float64Array = new Float64Array(1 << 8);
  locationCount = 1;
  locationMapping: Uint32Array = new Uint32Array(1 << 8);
  locationAddressLow: Uint32Array = new Uint32Array(1 << 8);
  locationAddressHigh: Uint32Array = new Uint32Array(1 << 8);
  locationFlags: Uint8Array = new Uint8Array(1 << 8);
  lineStart: Uint32Array = new Uint32Array((1 << 8) + 1);
  lineCount = 0;
  lineFunction: Uint32Array = new Uint32Array(1 << 8);
  lineNumber: Float64Array = new Float64Array(1 << 8);

  #stringSlots = new Uint32Array(1 << 9);
  #stringWords = new DataView(this.stringBytes.buffer);
  /** By string: the string that followed it last time. */
  #stringNext: Uint32Array = new Uint32Array(1 << 8);
  #stringLast = 0;
  #functionSlots = new Uint32Array(1 << 9);
  #locationSlots = new Uint32Array(1 << 9);
  // Mappings are few (tens); a list walk is cheaper than a table.

  #stringIds = new Uint32Array(1 << 8);
  #mappingIds = new Uint32Array(8);
  #functionIds = new Uint32Array(1 << 8);
  #locationIds = new Uint32Array(1 << 8);

  /** Interns every symbol of `from`. Returns this table's ids by those of `from`. After an interrupt the table must not be used. */
  translate(from: Symbols, interrupt: Interrupt = UNINTERRUPTED): Translation {
    this.#stringLast = 0;
    inRuns(from.stringCount, interrupt, (first, end) => this.#translateStrings(from, first, end));
    this.#translateMappings(from);
    inRuns(from.functionCount, interrupt, (first, end) => this.#translateFunctions(from, first, end));
    inRuns(from.locationCount, interrupt, (first, end) => this.#translateLocations(from, first, end));
    return { location: this.#locationIds };
  }

  /** The id of a string given as UTF-8. */
  string(bytes: Uint8Array, start: number, end: number): number {
    return this.#string(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes, start, end);
  }

  #string(words: DataView, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length === 0) return 0;
    // Records of one program name their strings in nearly the same order, so the string that followed last time is compared first.
    const guess = this.#stringNext[this.#stringLast]!;
    if (guess !== 0 && this.#isString(guess, words, start, length)) return (this.#stringLast = guess);
    const id = this.#findString(words, bytes, start, length);
    this.#stringNext[this.#stringLast] = id;
    return (this.#stringLast = id);
  }

  #findString(words: DataView, bytes: Uint8Array, start: number, length: number): number {
    const mask = this.#stringSlots.length - 1;
    let slot = stringHash(words, start, length) & mask;
    for (;;) {
      const id = this.#stringSlots[slot]!;
      if (id === 0) break;
      if (this.#isString(id, words, start, length)) return id;
      slot = (slot + 1) & mask;
    }
    const id = this.stringCount++;
    const at = this.stringOffset[id]!;
    this.stringOffset = grown(this.stringOffset, id + 2);
    this.#stringNext = grown(this.#stringNext, id + 1);
    if (at + length > this.stringBytes.length) {
      this.stringBytes = grown(this.stringBytes, at + length);
      this.#stringWords = new DataView(this.stringBytes.buffer);
    }
    this.stringBytes.set(bytes.subarray(start, start + length), at);
    this.stringOffset[id + 1] = at + length;
    this.#stringSlots[slot] = id;
    if (this.stringCount * 2 > this.#stringSlots.length) this.#rehashStrings();
    return id;
  }

  #isString(id: number, words: DataView, start: number, length: number): boolean {
    const at = this.stringOffset[id]!;
    if (this.stringOffset[id + 1]! - at !== length) return false;
    const own = this.#stringWords;
    let i = 0;
    for (; i + 4 <= length; i += 4) if (own.getUint32(at + i, true) !== words.getUint32(start + i, true)) return false;
    for (; i < length; i++) if (own.getUint8(at + i) !== words.getUint8(start + i)) return false;
    return true;
  }

  #rehashStrings(): void {
    const slots = new Uint32Array(this.#stringSlots.length * 2);
    const mask = slots.length - 1;
    for (let id = 1; id < this.stringCount; id++) {
      const start = this.stringOffset[id]!;
      const end = this.stringOffset[id + 1]!;
      let slot = stringHash(this.#stringWords, start, end - start) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.#stringSlots = slots;
  }

  #translateStrings(from: Symbols, first: number, end: number): void {
    this.#stringIds = grown(this.#stringIds, from.stringCount);
    const ids = this.#stringIds;
    const { stringBytes, stringOffset } = from;
    const words = new DataView(stringBytes.buffer, stringBytes.byteOffset, stringBytes.byteLength);
    ids[0] = 0;
    for (let i = first; i < end; i++) ids[i] = this.#string(words, stringBytes, stringOffset[i]!, stringOffset[i + 1]!);
  }

  #translateMappings(from: Symbols): void {
    this.#mappingIds = grown(this.#mappingIds, from.mappingCount);
    const ids = this.#mappingIds;
    ids[0] = 0;
    for (let i = 1; i < from.mappingCount; i++) {
      const filename = this.#stringIds[from.mappingFilename[i]!]!;
      const buildId = this.#stringIds[from.mappingBuildId[i]!]!;
      let id = 1;
      while (
        id < this.mappingCount &&
        !(
          this.mappingFilename[id] === filename &&
          this.mappingBuildId[id] === buildId &&
          this.mappingFlags[id] === from.mappingFlags[i] &&
          this.mappingStart[id] === from.mappingStart[i] &&
          this.mappingLimit[id] === from.mappingLimit[i] &&
          this.mappingFileOffset[id] === from.mappingFileOffset[i]
        )
      ) {
        id++;
      }
      if (id === this.mappingCount) {
        this.mappingCount++;
        this.#growMappings(id + 1);
        this.mappingStart[id] = from.mappingStart[i]!;
        this.mappingLimit[id] = from.mappingLimit[i]!;
        this.mappingFileOffset[id] = from.mappingFileOffset[i]!;
        this.mappingFilename[id] = filename;
        this.mappingBuildId[id] = buildId;
        this.mappingFlags[id] = from.mappingFlags[i]!;
      }
      ids[i] = id;
    }
  }

  #growMappings(count: number): void {
    if (count <= this.mappingFilename.length) return;
    this.mappingStart = grown(this.mappingStart, count);
    this.mappingLimit = grown(this.mappingLimit, count);
    this.mappingFileOffset = grown(this.mappingFileOffset, count);
    this.mappingFilename = grown(this.mappingFilename, count);
    this.mappingBuildId = grown(this.mappingBuildId, count);
    this.mappingFlags = grown(this.mappingFlags, count);
  }

  #translateFunctions(from: Symbols, first: number, end: number): void {
    this.#functionIds = grown(this.#functionIds, from.functionCount);
    const ids = this.#functionIds;
    const strings = this.#stringIds;
    ids[0] = 0;
    for (let i = first; i < end; i++) {
      const name = strings[from.functionName[i]!]!;
      const systemName = strings[from.functionSystemName[i]!]!;
      const filename = strings[from.functionFilename[i]!]!;
      const startLine = from.functionStartLine[i]!;
      const mask = this.#functionSlots.length - 1;
      let slot = functionHash(name, systemName, filename, startLine) & mask;
      let id = 0;
      while ((id = this.#functionSlots[slot]!) !== 0) {
        if (
          this.functionName[id] === name &&
          this.functionFilename[id] === filename &&
          this.functionStartLine[id] === startLine &&
          this.functionSystemName[id] === systemName
        ) {
          break;
        }
        slot = (slot + 1) & mask;
      }
      if (id === 0) {
        id = this.functionCount++;
        this.functionName = grown(this.functionName, id + 1);
        this.functionSystemName = grown(this.functionSystemName, id + 1);
        this.functionFilename = grown(this.functionFilename, id + 1);
        this.functionStartLine = grown(this.functionStartLine, id + 1);
        this.functionName[id] = name;
        this.functionSystemName[id] = systemName;
        this.functionFilename[id] = filename;
        this.functionStartLine[id] = startLine;
        this.#functionSlots[slot] = id;
        if (this.functionCount * 2 > this.#functionSlots.length) {
          this.#functionSlots = rehash(this.#functionSlots.length * 2, this.functionCount, (at) =>
            functionHash(this.functionName[at]!, this.functionSystemName[at]!, this.functionFilename[at]!, this.functionStartLine[at]!),
          );
        }
      }
      ids[i] = id;
    }
  }

  #translateLocations(from: Symbols, first: number, end: number): void {
    this.#locationIds = grown(this.#locationIds, from.locationCount);
    const ids = this.#locationIds;
    const functions = this.#functionIds;
    ids[0] = 0;
    for (let i = first; i < end; i++) {
      const mapping = this.#mappingIds[from.locationMapping[i]!]!;
      const low = from.locationAddressLow[i]!;
      const high = from.locationAddressHigh[i]!;
      const flags = from.locationFlags[i]!;
      const lineFrom = from.lineStart[i]!;
      const lineTo = from.lineStart[i + 1]!;
      let hash = Math.imul(mapping ^ Math.imul(low, 0x9e3779b1) ^ high, 0x85ebca6b) ^ flags;
      for (let j = lineFrom; j < lineTo; j++) {
        hash = Math.imul(hash ^ functions[from.lineFunction[j]!]!, 0x9e3779b1);
        hash = Math.imul(hash ^ from.lineNumber[j]!, 0x85ebca6b);
      }
      const mask = this.#locationSlots.length - 1;
      let slot = mix(hash) & mask;
      let id = 0;
      while ((id = this.#locationSlots[slot]!) !== 0) {
        if (
          this.locationMapping[id] === mapping &&
          this.locationAddressLow[id] === low &&
          this.locationAddressHigh[id] === high &&
          this.locationFlags[id] === flags &&
          this.lineStart[id + 1]! - this.lineStart[id]! === lineTo - lineFrom
        ) {
          let own = this.lineStart[id]!;
          let j = lineFrom;
          while (j < lineTo && this.lineFunction[own] === functions[from.lineFunction[j]!] && this.lineNumber[own] === from.lineNumber[j]) {
            own++;
            j++;
          }
          if (j === lineTo) break;
        }
        slot = (slot + 1) & mask;
      }
      if (id === 0) {
        id = this.#appendLocation(mapping, low, high, flags);
        for (let j = lineFrom; j < lineTo; j++) this.#appendLine(functions[from.lineFunction[j]!]!, from.lineNumber[j]!);
        this.lineStart[id + 1] = this.lineCount;
        this.#locationSlots[slot] = id;
        if (this.locationCount * 2 > this.#locationSlots.length) {
          this.#locationSlots = rehash(this.#locationSlots.length * 2, this.locationCount, (at) => this.#locationHash(at));
        }
      }
      ids[i] = id;
    }
  }

  #appendLocation(mapping: number, low: number, high: number, flags: number): number {
    const id = this.locationCount++;
    this.locationMapping = grown(this.locationMapping, id + 1);
    this.locationAddressLow = grown(this.locationAddressLow, id + 1);
    this.locationAddressHigh = grown(this.locationAddressHigh, id + 1);
    this.locationFlags = grown(this.locationFlags, id + 1);
    this.lineStart = grown(this.lineStart, id + 2);
    this.locationMapping[id] = mapping;
    this.locationAddressLow[id] = low;
    this.locationAddressHigh[id] = high;
    this.locationFlags[id] = flags;
    return id;
  }

  #appendLine(functionId: number, lineNumber: number): void {
    const at = this.lineCount++;
    this.lineFunction = grown(this.lineFunction, at + 1);
    this.lineNumber = grown(this.lineNumber, at + 1);
    this.lineFunction[at] = functionId;
    this.lineNumber[at] = lineNumber;
  }

  #locationHash(id: number): number {
    let hash =
      Math.imul(this.locationMapping[id]! ^ Math.imul(this.locationAddressLow[id]!, 0x9e3779b1) ^ this.locationAddressHigh[id]!, 0x85ebca6b) ^
      this.locationFlags[id]!;
    for (let j = this.lineStart[id]!; j < this.lineStart[id + 1]!; j++) {
      hash = Math.imul(hash ^ this.lineFunction[j]!, 0x9e3779b1);
      hash = Math.imul(hash ^ this.lineNumber[j]!, 0x85ebca6b);
    }
    return mix(hash);
  }
}

/** Symbols between two checks of the interrupt: about a millisecond. Most pushes have fewer, and so no check at all. */
const RUN_LENGTH = 4096;

/** Calls `run` for runs of ids from 1 on, at least once. */
function inRuns(count: number, interrupt: Interrupt, run: (first: number, end: number) => void): void {
  run(1, Math.min(count, 1 + RUN_LENGTH));
  for (let first = 1 + RUN_LENGTH; first < count; first += RUN_LENGTH) {
    interrupt.now();
    run(first, Math.min(count, first + RUN_LENGTH));
  }
}

/** Reads four bytes at a time. */
function stringHash(words: DataView, start: number, length: number): number {
  let hash = length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    hash = Math.imul(hash ^ words.getUint32(start + i, true), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; i < length; i++) hash = Math.imul(hash ^ words.getUint8(start + i), 0x01000193);
  return mix(hash);
}

function functionHash(name: number, systemName: number, filename: number, startLine: number): number {
  return mix(Math.imul(Math.imul(name, 0x9e3779b1) ^ systemName, 0x85ebca6b) ^ Math.imul(filename, 0xc2b2ae35) ^ startLine);
}

/** Mixes all bits into the low ones (murmur3's finaliser), which choose the slot. */
export function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function rehash(slotCount: number, idCount: number, hashOf: (id: number) => number): Uint32Array<ArrayBuffer> {
  const slots = new Uint32Array(slotCount);
  const mask = slotCount - 1;
  for (let id = 1; id < idCount; id++) {
    let slot = hashOf(id) & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = id;
  }
  return slots;
}
