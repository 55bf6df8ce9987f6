/** Records and modules for the head's tests. */
import type { Clock, Timer, Logger } from "@pyromesh/base";
import { Metrics, seededRandom, silentLogger } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { Head } from "../head.ts";
import type { HeadModules, HeadOptions } from "../head-modules.ts";
import type { ReplayedRecord } from "../recovery/record-intake.ts";
import { MemoryFile, MemoryCheckpoint } from "./memory-files.ts";
import { MemoryDisk } from "./memory-store.ts";

export const HOUR_MS = 3_600_000;

/** The same number is the same record: its bytes follow from it. */
export function makeRecord(number: number, changes: Partial<EncodedRecord> = {}): EncodedRecord {
  const random = seededRandom(number + 1);
  const identity = new Uint8Array(16);
  new DataView(identity.buffer).setUint32(0, number);
  identity.set(random.bytes(12), 4);
  return {
    identity,
    tenant: "anonymous",
    service: `service-${number % 3}`,
    timeMs: 1_700_000_000_000 + number * 1000,
    sampleCount: number,
    fingerprint: BigInt(number % 5) + 1n,
    bytes: random.bytes(20 + (number % 200)),
    ...changes,
  };
}

export function numberOf(record: Pick<EncodedRecord, "identity">): number {
  return new DataView(record.identity.buffer, record.identity.byteOffset).getUint32(0);
}

/** A clock that moves when told. */
export class StillClock implements Clock {
  ms = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  nowMs(): number {
    return 1_800_000_000_000 + this.ms;
  }
  nowNs(): bigint {
    return BigInt(this.nowMs()) * 1_000_000n;
  }
  monotonicMs(): number {
    return this.ms;
  }
  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.ms + delayMs, run };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }
  advance(byMs: number): void {
    this.ms += byMs;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.ms || !this.#timers.delete(timer)) continue;
      timer.run();
    }
  }
  /** The event loop's: what promises and real files do goes on. */
  nextTurn(): Promise<void> {
    return new Promise((resolve) => void setImmediate(resolve));
  }
  /** Resolves when all that needs no time has happened. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
  sleep(): never {
    throw new Error("the head does not sleep");
  }
}

/** Seals a cut under these keys, which take the next ordinals of its first window. */
export async function sealUnder(head: Head, cutId: number, keys: readonly string[], bytes: Uint8Array = Uint8Array.of(1)): Promise<void> {
  const first = (await head.nextOrdinals(cutId))?.[0] ?? { storeId: "none", tenant: "none", windowStartMs: 0, ordinal: 0 };
  await head.seal(cutId, keys.map((key, index) => ({ ...first, ordinal: first.ordinal + index, key, bytes })));
}

export interface MemoryWorld {
  readonly disk: MemoryDisk;
  readonly checkpoint: MemoryCheckpoint;
  readonly quarantineFile: MemoryFile;
  readonly clock: StillClock;
}

export function memoryWorld(): MemoryWorld {
  return { disk: new MemoryDisk(), checkpoint: new MemoryCheckpoint(), quarantineFile: new MemoryFile(), clock: new StillClock() };
}

export interface Started {
  readonly head: Head;
  readonly replayed: ReplayedRecord[];
  readonly quarantinedCount: number;
}

export async function startHead(world: MemoryWorld, options: Partial<HeadOptions> = {}, modules: Partial<HeadModules> = {}): Promise<Started> {
  const head = await Head.open({ diskBudgetBytes: 1 << 30, ...options }, {
    opener: world.disk,
    checkpoint: world.checkpoint,
    quarantineFile: world.quarantineFile,
    clock: world.clock,
    random: seededRandom(1),
    logger: silentLogger,
    metrics: new Metrics(),
    ...modules,
  });
  return replayHead(head);
}

export async function replayHead(head: Head): Promise<Started> {
  const replayed: ReplayedRecord[] = [];
  const report = await head.replay(async (batch) => void replayed.push(...batch));
  return { head, replayed, quarantinedCount: report.quarantinedCount };
}

/** Keeps what was logged. */
export function listeningLogger(lines: { readonly level: string; readonly message: string; readonly fields: object }[]): Logger {
  const take =
    (level: string) =>
    (message: string, fields: object = {}): void =>
      void lines.push({ level, message, fields });
  return { debug: take("debug"), info: take("info"), warn: take("warn"), error: take("error"), with: () => listeningLogger(lines) };
}
