/**
 * All replies of a listener that somebody still has to read: what they may hold together (reply-budget.ts), who of their readers is too
 * slow (reader-pace.ts), and the compression of large ones. Connections that wait for a next request are not looked at.
 */
import type { Clock, Counter, Metrics, Timer } from "@pyromesh/base";
import type { Compression } from "../ports/compression.ts";
import type { PaceRule } from "./reader-pace.ts";
import { ReplyBudget } from "./reply-budget.ts";
import type { ReplySender } from "./reply-sender.ts";

export interface RepliesOptions {
  /** Of all replies that are not read. */
  readonly bytesMax: number;
  readonly waitMs: number;
  readonly rule: PaceRule;
}

export interface RepliesModules {
  readonly clock: Clock;
  readonly compression: Compression;
  readonly metrics: Metrics;
}

/** How often readers are looked at. */
const TICK_MS = 500;
/** Of the requests that may be at work (1024), those that wait for room. */
const WAITING_COUNT_MAX = 128;

export class Replies {
  readonly rule: PaceRule;
  readonly budget: ReplyBudget;
  readonly #clock: Clock;
  readonly #compression: Compression;
  readonly #cut: Counter;
  /** Sender -> what closes its connection. As many as there are requests that are not replied to. */
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
    metrics.gauge("pyromesh_reply_bytes_max", "What they may be together.", [], (gauge) => gauge.set({}, bytesMax));
    this.#cut = metrics.counter("pyromesh_replies_cut_total", "Replies whose reader was too slow, so that the connection was closed.");
    this.#cut.add({}, 0);
  }

  add(sender: ReplySender, cut: () => void): void {
    this.#senders.set(sender, cut);
    this.#timer ??= this.#clock.after(TICK_MS, () => this.#tick());
  }

  delete(sender: ReplySender): void {
    this.#senders.delete(sender);
  }

  /** From now on readers have to be quick, and who waits for room is refused. */
  beginStop(): void {
    this.#stoppingSinceMs = this.#clock.monotonicMs();
    this.budget.stop();
  }

  endStop(): void {
    this.#timer?.cancel();
    this.#senders.clear();
  }

  /**
   * Undefined where it is better sent as it is: there is no room for both, or too many wait. Large ones are compressed one after the other,
   * so that the other threads of the pool stay free for commits. `bytes` have their room; the result, at most half as large, gets its own.
   */
  async compress(bytes: Uint8Array, level: number): Promise<Uint8Array | undefined> {
    const sizeBytesMax = Math.floor(bytes.length / 2);
    if (this.#compressingCount > COMPRESSING_COUNT_MAX || !this.budget.tryTake(sizeBytesMax)) return undefined;
    this.#compressingCount++;
    const compressed = this.#compressing.then(() => this.#compression.gzip(bytes, { level, sizeBytesMax })).catch(() => undefined); // hardly smaller, or no memory
    this.#compressing = compressed.then(() => undefined); // the next one waits for it, and does not hold it
    const result = await compressed;
    this.#compressingCount--;
    this.budget.trySwap(sizeBytesMax, result?.length ?? 0); // never more than it was
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

  /** Replies that leave, in the order in which they do, until there is room; what is still being built is not known to leave. */
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

/** Large replies that wait to be compressed; each has its room already. Past it one more is sent as it is. */
const COMPRESSING_COUNT_MAX = 8;
