/**
 * Everything in the store but the records: read at the start, whole and into memory (some 100 bytes a commit).
 *
 * What cannot be read is named in `badKeys`, never skipped in silence; what the scan missed is asked for by key.
 */
import type { Logger } from "@pyromesh/base";
import { CodedError, CorruptionError } from "@pyromesh/base";
import type { Turns } from "@pyromesh/base";
import { decodeCommit } from "../entries/commit-entry.ts";
import type { Commit } from "../entries/commit-entry.ts";
import { decodeCut } from "../entries/cut-entry.ts";
import type { CutEntry } from "../entries/cut-entry.ts";
import { unwrap } from "../entries/checksum-envelope.ts";
import { commitKey, cutKey, KEY_PREFIXES, META_BUCKET, META_NOTES, META_ORDINAL_FLOOR, META_RETIRED, META_STORE, parseKey, printKey, sealedKey } from "../entries/keys.ts";
import { decodeBucketMark, decodeNextOrdinal, decodeNotesMark, decodeOrdinalFloor, decodeRetired, decodeStoreMark } from "../entries/meta-entry.ts";
import type { BucketMark, StoreMark } from "../entries/meta-entry.ts";
import { NumberRanges } from "../entries/number-ranges.ts";
import type { OrderedStore } from "../entries/store.ts";
import type { WindowOrdinals } from "../state/store-identity.ts";
import { windowKey } from "../state/record-stats.ts";

export interface Structure {
  storeMark: (StoreMark & { readonly version: number }) | undefined;
  bucketMark: BucketMark | undefined;
  readonly commits: Map<number, Commit>;
  readonly cuts: Map<number, CutEntry>;
  readonly sealed: Map<string, Uint8Array>;
  /** By the key of the object that records went into: the caller's bytes. */
  readonly notes: Map<string, Uint8Array>;
  /** Since when the store has kept notes of all that left it, by the wall clock; 0: ever. Undefined: it does not say. */
  notedSinceMs: number | undefined;
  readonly ordinals: WindowOrdinals;
  /** By store id in hex. */
  readonly formerOrdinals: Map<string, WindowOrdinals>;
  ordinalFloor: number;
  retired: NumberRanges;
  /** Keys of entries that are not what was written. */
  readonly badKeys: Uint8Array[];
  /** The store could not read all of it. */
  isScanBroken: boolean;
  /** The store has no key except those of records. */
  isEmpty: boolean;
}

/** `lastCommit`: the number of the last commit that the checkpoint knows; 0: none. */
export async function readStructure(store: OrderedStore, lastCommit: number, logger: Logger, turns: Turns): Promise<Structure> {
  const structure: Structure = {
    storeMark: undefined,
    bucketMark: undefined,
    commits: new Map(),
    cuts: new Map(),
    sealed: new Map(),
    notes: new Map(),
    notedSinceMs: undefined,
    ordinals: new Map(),
    formerOrdinals: new Map(),
    ordinalFloor: 0,
    retired: NumberRanges.of([]),
    badKeys: [],
    isScanBroken: false,
    isEmpty: true,
  };
  for (const range of OTHER_THAN_RECORDS) {
    try {
      for await (const page of store.pages(range, { pageBytes: PAGE_BYTES })) {
        for (const { key, value } of page) {
          if (turns.areDue) await turns.give();
          takeEntry(structure, key, value, logger);
        }
      }
    } catch (error) {
      if (error instanceof CodedError) throw error;
      structure.isScanBroken = true;
      logger.error("the head's store cannot be read in one go, asking key by key", { error });
    }
  }
  await askForMissing(structure, store, lastCommit, logger);
  return structure;
}

/** Numbers up to the last one known that no commit and no retired range accounts for. */
export function missingCommits(structure: Structure, lastCommit: number): ReturnType<NumberRanges["gaps"]> {
  const known = structure.retired.with([...structure.commits.keys(), ...structure.cuts.keys()]);
  const last = known.ranges.reduce((most, range) => Math.max(most, range.to), lastCommit);
  return known.gaps(1, last);
}

const PAGE_BYTES = 1 << 20;

/** All keys but `r/` and `q/`, unknown ones too. */
const OTHER_THAN_RECORDS = [
  { from: new Uint8Array(0), to: Buffer.from(KEY_PREFIXES.quarantined) },
  { from: Buffer.from("q0"), to: Buffer.from(KEY_PREFIXES.record) },
  { from: Buffer.from("r0"), to: Uint8Array.of(0xff, 0xff, 0xff, 0xff) },
];

/** The greatest number of keys that are read one by one. At the bound the others count as missing. */
const ASK_COUNT_MAX = 10_000;

/** Asks by key for entries that a broken scan, or keys out of order after a flipped byte, hid. */
async function askForMissing(structure: Structure, store: OrderedStore, lastCommit: number, logger: Logger): Promise<void> {
  let askCount = 0;
  const ask = async (key: Uint8Array): Promise<void> => {
    if (askCount++ >= ASK_COUNT_MAX) return;
    try {
      const value = await store.get(key);
      if (value !== undefined) takeEntry(structure, key, value, logger);
    } catch (error) {
      if (error instanceof CodedError) throw error;
      structure.isScanBroken = true;
    }
  };
  if (structure.storeMark === undefined && !structure.isEmpty) await ask(META_STORE);
  if (structure.isScanBroken) {
    await ask(META_RETIRED);
    await ask(META_ORDINAL_FLOOR);
    await ask(META_BUCKET);
    await ask(META_NOTES);
  }
  for (const { from, to } of missingCommits(structure, lastCommit)) {
    for (let number = from; number <= to && askCount < ASK_COUNT_MAX; number++) await ask(commitKey(number));
  }
  for (const commit of structure.commits.values()) {
    if (commit.kind === "cut" && !structure.cuts.has(commit.number)) await ask(cutKey(commit.number));
    if (commit.kind === "seal") {
      for (const segmentKey of commit.segmentKeys) if (!structure.sealed.has(segmentKey)) await ask(sealedKey(segmentKey));
    }
  }
}

function takeEntry(structure: Structure, key: Uint8Array, value: Uint8Array, logger: Logger): void {
  structure.isEmpty = false;
  const parsed = parseKey(key);
  try {
    switch (parsed?.kind) {
      case "commit":
        structure.commits.set(parsed.number, decodeCommit(parsed.number, value));
        return;
      case "cut":
        structure.cuts.set(parsed.number, decodeCut(parsed.number, value));
        return;
      case "sealed":
        structure.sealed.set(parsed.text, Uint8Array.from(unwrap(key, value)));
        return;
      case "note":
        structure.notes.set(parsed.text, Uint8Array.from(unwrap(key, value)));
        return;
      case "ordinal":
      case "formerOrdinal": {
        const { tenant, windowStartMs } = parsed;
        const next = decodeNextOrdinal(key, value);
        let ordinals = structure.ordinals;
        if (parsed.kind === "formerOrdinal") {
          ordinals = structure.formerOrdinals.get(parsed.storeId) ?? new Map();
          structure.formerOrdinals.set(parsed.storeId, ordinals);
        }
        ordinals.set(windowKey(tenant, windowStartMs), { tenant, windowStartMs, next });
        return;
      }
      case "meta":
        if (parsed.text === "store") structure.storeMark = decodeStoreMark(value);
        else if (parsed.text === "bucket") structure.bucketMark = decodeBucketMark(value);
        else if (parsed.text === "notes") {
          structure.notedSinceMs = decodeNotesMark(value);
        } else if (parsed.text === "retired") structure.retired = decodeRetired(value);
        else if (parsed.text === "ordinal-floor") structure.ordinalFloor = decodeOrdinalFloor(value);
        else break;
        return;
      default:
        break;
    }
    structure.badKeys.push(key);
    logger.error("an entry of the head's store has a key that no version wrote", { key: printKey(key) });
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    structure.badKeys.push(key);
    logger.error("an entry of the head's store is not what was written", { key: printKey(key), error });
  }
}
