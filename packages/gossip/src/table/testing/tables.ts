/** Member tables for tests: small names, store ids that show their number, a disk that is never late. */
import { CodedError } from "@pyromesh/base";
import { FORMATS, type StoreId } from "@pyromesh/ring";
import { announced, type AnnouncedFormats } from "../../items/announced-formats.ts";
import { type ClusterState, decodeClusterState, encodeClusterState } from "../../items/cluster-state.ts";
import { type Entry, NOBODY, type OwnEntry } from "../../items/entry.ts";
import type { Loss } from "../../items/losses.ts";
import type { TableMessage } from "../../items/table-message.ts";
import { MemberTable, type MemberTableOptions } from "../member-table.ts";
import type { Changes } from "../table-changes.ts";

/** Of a build that reads version 1 of every format. */
export const FORMATS_1: AnnouncedFormats = announced(FORMATS.map(() => ({ writesFrom: 1, reads: 1, promised: 1 })));

export const LEASE_MS = 5000;

export const storeOf = (number: number): StoreId => number.toString(16).padStart(32, "0");

export function ownEntry(name: string, storeNumber: number, bootNumber = 1): OwnEntry {
  return {
    name,
    storeId: storeOf(storeNumber),
    bootId: bootNumber.toString(16).padStart(16, "0"),
    clusterAddress: `${name}:7946`,
    httpAddress: `${name}:4040`,
    zone: "",
    tokenCount: 128,
    protocolMin: 1,
    protocolMax: 1,
    ...FORMATS_1,
    build: "test",
  };
}

export function entryOf(name: string, storeNumber: number, rest: Partial<Entry> = {}): Entry {
  return {
    ...ownEntry(name, storeNumber),
    incarnation: 1,
    status: "alive",
    claimsFull: true,
    joins: 1,
    goneJoins: 0,
    acknowledgedBy: NOBODY,
    acksHeld: 2,
    ...rest,
  };
}

export function lossOfStore(member: string, storeNumber: number, rest: Partial<Loss> = {}): Loss {
  return { member, storeId: storeOf(storeNumber), incarnation: 1, acksHeld: 2, wasFull: true, goneJoins: 0, isCleared: false, fencedBy: NOBODY, flushedBy: NOBODY, ...rest };
}

export function openTable(name: string, storeNumber: number, rest: Partial<MemberTableOptions> & { readonly bootNumber?: number; readonly restored?: ClusterState | undefined; readonly nowMs?: number } = {}): MemberTable {
  const { bootNumber, restored, nowMs = 0, ...options } = rest;
  const table = new MemberTable(
    {
      self: ownEntry(name, storeNumber, bootNumber),
      clusterName: "test",
      leaseMs: LEASE_MS,
      replication: 3,
      joinAddressCount: 3,
      isFounder: false,
      heldAcks: Infinity,
      ...options,
    },
    restored,
    nowMs,
  );
  persist(table, nowMs);
  return table;
}

/** What the table knows reaches the disk. */
export function persist(table: MemberTable, nowMs = 0): void {
  while (table.persistedVersion < table.persistVersion) table.persisted(table.persistVersion, nowMs);
}

export const whole = (entries: readonly Entry[], losses: readonly Loss[] = []): TableMessage => ({ isWhole: true, entries, losses });
export const news = (entries: readonly Entry[], losses: readonly Loss[] = []): TableMessage => ({ isWhole: false, entries, losses });

/** `to` learns all that `from` knows, as an exchange does. */
export function tell(from: MemberTable, to: MemberTable, nowMs = 0): Changes {
  persist(from, nowMs);
  const changes = to.merge(from.lackedBy(to.bucketDigests), nowMs);
  persist(to, nowMs);
  return changes;
}

/** All tell all until nothing is new: at most a few rounds. Returns how many. */
export function converge(tables: readonly MemberTable[], nowMs = 0): number {
  for (let round = 1; round <= 20; round++) {
    for (const from of tables) for (const to of tables) if (from !== to) tell(from, to, nowMs);
    if (new Set(tables.map((table) => table.digest)).size === 1) return round;
  }
  return Infinity;
}

/** A founder and its followers, all full, all equal. */
export function openCluster(count: number, rest: Partial<MemberTableOptions> = {}): MemberTable[] {
  const tables = Array.from({ length: count }, (_, i) => openTable(nameOf(i), i + 1, { isFounder: i === 0, joinAddressCount: count, ...rest }));
  for (const table of tables) table.noteBucketReplication(Math.min(3, count), 0);
  converge(tables);
  converge(tables);
  return tables;
}

export const nameOf = (i: number): string => `n${i}`;

/** Every table fences and counts on: ticks at these times, with an exchange after each. */
export function tickAll(tables: readonly MemberTable[], nowMs: number): void {
  for (const table of tables) {
    table.tick(nowMs);
    persist(table, nowMs);
  }
  converge(tables, nowMs);
}

/** What `table` says of the member: its state; undefined: it knows none of this name. */
export function stateOf(table: MemberTable, name: string): string | undefined {
  const view = table.view(new Set());
  return [...view.members, ...view.gone].find((member) => member.name === name)?.state;
}

/** The code with which `make` throws; "done": it does not. */
export function codeOf(make: () => unknown): string {
  try {
    make();
    return "done";
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
}

/** A new process on the table's data directory. */
export function restart(table: MemberTable, rest: object = {}): MemberTable {
  return openTable(table.own.name, Number.parseInt(table.own.storeId, 16), { bootNumber: 99, restored: decodeClusterState(encodeClusterState(table.state)), ...rest });
}

/** The member is declared dead by the others, and its loss is cleared. */
export function clearDead(tables: readonly MemberTable[], dead: MemberTable): void {
  const survivors = tables.filter((table) => table !== dead);
  survivors[0]!.declareDead(dead.own.name, 1000);
  converge(survivors, 1000);
  for (const table of survivors) {
    table.noteFlushed(dead.own.storeId, dead.own.incarnation, 2000);
    persist(table, 2000);
  }
  tickAll(survivors, 1000 + LEASE_MS + 1);
  tickAll(survivors, 1000 + LEASE_MS + 2);
}
