/**
 * All replies of a listener that are not yet read to their end: how much memory they may hold together (reply-budget.ts), which clients
 * read too slowly (reader-pace.ts), and the compression of large replies. Idle connections are not part of it.
 */
import type { Clock, Counter, Metrics, Timer } from "@pyromesh/base";
import type { Compression } from "../ports/compression.ts";
import type { PaceRule } from "./reader-pace.ts";
import { ReplyBudget } from "./reply-budget.ts";
import type { ReplySender } from "./reply-sender.ts";

interface RepliesOptions {
  /** Memory of all replies that are not yet read. */
  readonly bytesMax: number;
  readonly waitMs: number;
  readonly rule: PaceRule;
}

interface RepliesModules {
  readonly clock: Clock;
  readonly compression: Compression;
  readonly metrics: Metrics;
}

/** How often the pace of the readers is checked. */
const TICK_MS = 500;
/** Requests that may wait for memory, of the 1024 that may be at work. One more is refused (503). */
const WAITING_COUNT_MAX = 128;

export class Replies {
  readonly rule: PaceRule;
  readonly budget: ReplyBudget;
  readonly #clock: Clock;
  readonly #compression: Compression;
  readonly #cut: Counter;
  /** Sender -> the function that closes its connection. At most as many as there are requests without a complete reply. */
  readonly #senders = new Map<ReplySender, () => void>();
  #timer: Timer | undefined;
  #stoppingSinceMs: number | undefined;
  #compressing: Promise<unknown> = Promise.resolve();
  #compressingCount = 0;

  constructor({ bytesMax, waitMs, rule }: RepliesOptions, { clock, compression, metrics }: RepliesModules) {
    this.rule = rule;
    this.#clock = clock;
    this.#compression = compression;
    this.budget = new ReplyBudget({ bytesMax, waitMs, waitingCountMax: WAITING_COUNT_MAX }, { clock, roomInMs: (bytes) => this.#roomInMs(bytes) });
    metrics.gauge("pyromesh_reply_bytes", "Bytes of replies that are being built, compressed or read.", [], (gauge) => gauge.set({}, this.budget.bytes));
    metrics.gauge("pyromesh_reply_bytes_max", "Most bytes that all replies may hold together.", [], (gauge) => gauge.set({}, bytesMax));
    this.#cut = metrics.counter("pyromesh_replies_cut_total", "Replies that were cut off because their client read too slowly.");
    this.#cut.add({}, 0);
  }

  add(sender: ReplySender, cut: () => void): void {
    this.#senders.set(sender, cut);
    this.#timer ??= this.#clock.after(TICK_MS, () => this.#tick());
  }

  delete(sender: ReplySender): void {
    this.#senders.delete(sender);
  }

  /** From now on the readers have the shorter window of a stop, and requests that wait for memory are refused. */
  beginStop(): void {
    this.#stoppingSinceMs = this.#clock.monotonicMs();
    this.budget.stop();
  }

  endStop(): void {
    this.#timer?.cancel();
    this.#senders.clear();
  }

  /**
   * Returns undefined where the reply should be sent uncompressed: there is no memory for both forms, or too many replies wait. Large
   * replies are compressed one after another, so that the other threads of the pool stay free for commits. The caller holds the memory of
   * `bytes`; the result, at most half as large, gets memory of its own.
   */
  async compress(bytes: Uint8Array, level: number): Promise<Uint8Array | undefined> {
    const sizeBytesMax = Math.floor(bytes.length / 2);
    if (this.#compressingCount > COMPRESSING_COUNT_MAX || !this.budget.tryTake(sizeBytesMax)) return undefined;
    this.#compressingCount++;
    const compressed = this.#compressing.then(() => this.#compression.gzip(bytes, { level, sizeBytesMax })).catch(() => undefined); // it rejects where the result would be larger, or memory is short
    this.#compressing = compressed.then(() => undefined); // the next one waits for this one, and must not hold its bytes
    const result = await compressed;
    this.#compressingCount--;
    this.budget.trySwap(sizeBytesMax, result?.length ?? 0); // it fits: the result is not larger
    return result;
  }

  #tick(): void {
    this.#timer = undefined;
    const context = { nowMs: this.#clock.monotonicMs(), isRoomWanted: this.budget.waitingCount > 0, stoppingSinceMs: this.#stoppingSinceMs };
    for (const [sender, cut] of this.#senders) {
      if (!sender.isTooSlow(context)) continue;
      this.#senders.delete(sender);
      this.#cut.add({});
      cut();
    }
    if (this.#senders.size > 0) this.#timer ??= this.#clock.after(TICK_MS, () => this.#tick());
  }

  /** How long until `bytes` are free, where the replies leave in the expected order. Replies that are still being built do not count. */
  #roomInMs(bytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    let leftBytes = bytes;
    let endMs = 0;
    for (const { endsInMs, sizeBytes } of [...this.#senders.keys()].map((sender) => ({ endsInMs: sender.endsInMs(nowMs), sizeBytes: sender.sizeBytes })).sort((a, b) => a.endsInMs - b.endsInMs)) {
      if (leftBytes <= 0) break;
      endMs = endsInMs;
      leftBytes -= sizeBytes;
    }
    return endMs;
  }
}

/** Large replies that wait for compression. Each holds its memory already. At the bound one more is sent uncompressed. */
const COMPRESSING_COUNT_MAX = 8;
