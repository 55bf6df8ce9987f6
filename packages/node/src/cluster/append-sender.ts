/**
 * Sends one member records to keep. Those that come while a request is under way go into the next one together, as do those of pushes that this node is at work
 * on: under load there is one request, and one commit of the peer, for several records. Without load none waits:
 *
 *   nothing under way, no other push       the records of this turn go at once
 *   nothing under way, others announced    they wait until those have arrived, for GATHER_MS_MAX, or until GATHER_COUNT_MAX wait
 *   under way, less than a batch waits     they wait for the answer
 *   under way, a batch waits               it goes too, up to UNDERWAY_MAX requests
 *
 *   answering ──a request fails, or takes longer than SLOW_MS──► silent: records fail at once, but those that are forced
 *       ▲                                                           │ asked with an empty request, after 100 ms, 200, ... 1 s
 *       └───────────────────────────any answer──────────────────────┘
 *
 * Bounded: QUEUE_BYTES_MAX and QUEUE_COUNT_MAX of records that wait (one alone may be larger), for WAIT_MAX_MS. Beyond it a record fails with PEER_BUSY.
 */
import { CodedError, messageOf, retryDelayMs, unavailable } from "@pyromesh/base";
import type { Clock, Timer } from "@pyromesh/base";
import { APPEND_COUNT_MAX, decodeAppendAnswer, encodeAppend } from "./append-message.ts";
import type { AppendAnswer, StoreList } from "./append-message.ts";
import type { Peers } from "./ports.ts";

const BATCH_BYTES = 512 * 1024;
const UNDERWAY_MAX = 4;
/** As those of the head's own commits (write-queue.ts of the package head): the pushes that are waited for are the same. */
const GATHER_COUNT_MAX = 8;
const GATHER_MS_MAX = 4;
const QUEUE_BYTES_MAX = 16 * 2 ** 20;
const QUEUE_COUNT_MAX = 4096;
/**
 * A peer that keeps up takes what waits every few milliseconds. One that does not sets the rate of pushes, and this how long each of them takes. It is longer than
 * a healthy peer is ever late: of three members with one gone, a record that one of the others does not take is a push that fails.
 */
const WAIT_MAX_MS = 2_000;
/** A body between peers has 64 MiB at most (PROTOCOL.md). No profile that is within the limits becomes as large. */
export const RECORD_BYTES_MAX: number = 48 * 2 ** 20;
/** A store that is only busy has answered by then: it refuses what it cannot sync within its own queue. */
const TIMEOUT_MS = 5_000;
/** Records go elsewhere by then, where they can. */
const SLOW_MS = 2_000;
const PROBE_PAUSE = { firstMs: 100, maxMs: 1_000 };

export interface AppendSenderModules {
  readonly peers: Pick<Peers, "request">;
  readonly clock: Clock;
  /** Pushes are being made ready whose records may go to this member. `noteArrived` is called when it becomes false. */
  readonly areMoreExpected: () => boolean;
  /** Called when `isAnswering` has changed. */
  readonly onChange: () => void;
}

/** One record on its way to one store. */
export class Sending {
  readonly list: StoreList;
  /** 32 hex digits. Only this store's word counts. */
  readonly storeId: string;
  /** Lent until the record is encoded: see `keepOwnBytes`. */
  bytes: Uint8Array;
  /** When it was given to its sender, by the monotonic clock. */
  queuedMs = 0;
  readonly #onOutcome: (failure: CodedError | undefined) => void;
  #state: "waiting" | "sent" | "ended" = "waiting";

  /** `onOutcome` is called once. Undefined: the store keeps it. */
  constructor(list: StoreList, storeId: string, bytes: Uint8Array, onOutcome: (failure: CodedError | undefined) => void) {
    this.list = list;
    this.storeId = storeId;
    this.bytes = bytes;
    this.#onOutcome = onOutcome;
  }

  /** The lender takes the bytes back now: what still waits to be sent gets a copy. */
  keepOwnBytes(): void {
    if (this.#state === "waiting") this.bytes = Uint8Array.from(this.bytes);
  }

  noteSent(): void {
    this.#state = "sent";
  }

  end(failure: CodedError | undefined): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.bytes = NO_BYTES;
    this.#onOutcome(failure);
  }
}

export class AppendSender {
  readonly #member: string;
  readonly #modules: AppendSenderModules;
  #waiting: Sending[] = [];
  #waitingBytes = 0;
  #underwayCount = 0;
  #isScheduled = false;
  /** Ends the wait for announced pushes. Set while records wait for them. */
  #gathering: Timer | undefined;
  /** Fires when nothing has answered for SLOW_MS. Set while a request is under way. */
  #slow: Timer | undefined;
  /** Set while the member is silent: ends the probing. */
  #probing: AbortController | undefined;
  #isStopped = false;

  constructor(member: string, modules: AppendSenderModules) {
    this.#member = member;
    this.#modules = modules;
  }

  get isAnswering(): boolean {
    return this.#probing === undefined;
  }

  /** Nothing waits to be sent. */
  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** `isForced`: also to a silent member, because too few other stores are left. */
  send(sending: Sending, isForced: boolean): void {
    const size = sending.bytes.length;
    if (size > RECORD_BYTES_MAX) return sending.end(tooLarge(size));
    if (this.#isStopped) return sending.end(this.#stoppedError());
    if (!isForced && !this.isAnswering) return sending.end(unavailable("PEER_SILENT", `${this.#member} did not answer the last requests`));
    const nowMs = this.#modules.clock.monotonicMs();
    if (this.#isFull(size, nowMs)) return sending.end(unavailable("PEER_BUSY", `${this.#waitingBytes} bytes of records already wait to be sent to ${this.#member}`));
    sending.queuedMs = nowMs;
    this.#waiting.push(sending);
    this.#waitingBytes += size;
    this.#schedule();
  }

  /** Records are sent to it again, also where nothing has answered yet: another process has its name now, or it was declared alive. */
  noteAnswer(): void {
    this.#slow?.cancel();
    this.#slow = undefined;
    if (this.#probing === undefined) return;
    this.#probing.abort();
    this.#probing = undefined;
    this.#modules.onChange();
  }

  /** No push is being made ready any more. */
  noteArrived(): void {
    this.#schedule();
  }

  /** The member is gone, or this node stops: what waits fails, and nothing more is sent. Requests under way end as the network has it. */
  stop(): void {
    this.#isStopped = true;
    this.#slow?.cancel();
    this.#gathering?.cancel();
    this.#probing?.abort();
    for (const sending of this.#takeAll()) sending.end(this.#stoppedError());
  }

  #isFull(sizeBytes: number, nowMs: number): boolean {
    const [first] = this.#waiting;
    if (first === undefined) return false;
    return this.#waiting.length >= QUEUE_COUNT_MAX || this.#waitingBytes + sizeBytes > QUEUE_BYTES_MAX || nowMs - first.queuedMs > WAIT_MAX_MS;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    if (!this.#maySend()) return this.#awaitGathering();
    this.#isScheduled = true;
    // What comes in the same turn goes along.
    void Promise.resolve().then(() => {
      this.#isScheduled = false;
      while (this.#maySend()) void this.#sendBatch();
      this.#awaitGathering();
    });
  }

  #awaitGathering(): void {
    if (this.#gathering !== undefined || !this.#isGathering()) return;
    this.#gathering = this.#modules.clock.after(GATHER_MS_MAX, () => {
      this.#gathering = undefined;
      this.#schedule();
    });
  }

  /** What waits is worth a wait of some milliseconds: more is on its way. */
  #isGathering(): boolean {
    const [first] = this.#waiting;
    if (first === undefined || this.#underwayCount > 0 || !this.#modules.areMoreExpected()) return false;
    return this.#waiting.length < GATHER_COUNT_MAX && this.#waitingBytes < BATCH_BYTES && this.#modules.clock.monotonicMs() - first.queuedMs < GATHER_MS_MAX;
  }

  #maySend(): boolean {
    if (this.#waiting.length === 0) return false;
    if (this.#underwayCount === 0) return !this.#isGathering();
    const isBatch = this.#waitingBytes >= BATCH_BYTES || this.#waiting.length >= APPEND_COUNT_MAX;
    return isBatch && this.isAnswering && this.#underwayCount < UNDERWAY_MAX;
  }

  async #sendBatch(): Promise<void> {
    const { clock } = this.#modules;
    const batch = this.#takeBatch();
    if (batch.length === 0) return;
    this.#gathering?.cancel();
    this.#gathering = undefined;
    this.#underwayCount++;
    this.#slow ??= clock.after(SLOW_MS, () => this.#noteSilence());
    try {
      const message = encodeAppend(batch);
      for (const sending of batch) sending.noteSent();
      const answer = this.#answerIn(await this.#request(message), batch.length);
      this.noteAnswer();
      for (const [index, sending] of batch.entries()) sending.end(failureIn(answer, index, sending));
    } catch (thrown) {
      const failure = thrown instanceof CodedError ? thrown : unavailable("APPEND_FAILED", messageOf(thrown), thrown);
      if (isSilence(failure)) this.#noteSilence();
      else this.noteAnswer();
      for (const sending of batch) sending.end(failure);
      // Each would wait for a time-out of its own.
      if (isSilence(failure)) for (const sending of this.#takeAll()) sending.end(failure);
    } finally {
      this.#underwayCount--;
      this.#schedule();
    }
  }

  /** What is no answer is the member's fault: a client that pushes again may find it mended. */
  #answerIn(bytes: Uint8Array, count: number): ReturnType<typeof decodeAppendAnswer> {
    try {
      return decodeAppendAnswer(bytes, count);
    } catch (error) {
      throw unavailable("PEER_MALFORMED", `${this.#member} answered a request to keep records with what is no answer: ${messageOf(error)}`, error);
    }
  }

  #stoppedError(): CodedError {
    return unavailable("PEER_UNREACHABLE", `nothing is sent to ${this.#member} any more: it is no member, or this node stops`);
  }

  #request(message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#modules.peers.request(this.#member, "append", message, { timeoutMs: TIMEOUT_MS, ...(signal && { signal }) });
  }

  #noteSilence(): void {
    this.#slow?.cancel();
    this.#slow = undefined;
    if (this.#probing !== undefined || this.#isStopped) return;
    this.#probing = new AbortController();
    this.#modules.onChange();
    void this.#probe(this.#probing.signal);
  }

  /** Until anything answers: nothing else may be sent to it meanwhile. */
  async #probe(ended: AbortSignal): Promise<void> {
    for (let count = 1; !ended.aborted; count++) {
      try {
        await this.#modules.clock.sleep(retryDelayMs(count, PROBE_PAUSE), ended);
        await this.#request(encodeAppend([]), ended);
        return this.noteAnswer();
      } catch (thrown) {
        if (!ended.aborted && !isSilence(thrown)) return this.noteAnswer();
      }
    }
  }

  /** Up to BATCH_BYTES, or one that is larger alone, of those that have not waited for too long. */
  #takeBatch(): Sending[] {
    this.#endStale();
    let bytes = 0;
    let count = 0;
    for (const sending of this.#waiting) {
      if (count > 0 && (count >= APPEND_COUNT_MAX || bytes + sending.bytes.length > BATCH_BYTES)) break;
      bytes += sending.bytes.length;
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  #endStale(): void {
    const nowMs = this.#modules.clock.monotonicMs();
    const fresh = this.#waiting.findIndex(({ queuedMs }) => nowMs - queuedMs <= WAIT_MAX_MS);
    const stale = this.#waiting.splice(0, fresh < 0 ? this.#waiting.length : fresh);
    for (const { bytes } of stale) this.#waitingBytes -= bytes.length;
    for (const sending of stale) sending.end(unavailable("PEER_BUSY", `${this.#member} has not taken the record within ${WAIT_MAX_MS} ms`));
  }

  #takeAll(): Sending[] {
    this.#waitingBytes = 0;
    return this.#waiting.splice(0);
  }
}

const NO_BYTES = new Uint8Array(0);

/** Whether a failure says that the member may be gone. Any other is an answer. */
function isSilence(failure: unknown): boolean {
  return failure instanceof CodedError && (failure.code === "PEER_UNREACHABLE" || failure.code === "PEER_TIMEOUT");
}

function failureIn({ storeId, outcomes }: AppendAnswer, index: number, sending: Sending): CodedError | undefined {
  const outcome = outcomes[index]!; // as many as were sent: the decoder made sure
  if (typeof outcome !== "string") return unavailable(outcome.code, outcome.message);
  if (storeId === sending.storeId) return undefined;
  return unavailable("STORE_NOT_LISTED", `the store ${storeId} answered in the place of ${sending.storeId}`);
}

function tooLarge(sizeBytes: number): CodedError {
  return new CodedError({
    code: "RECORD_TOO_LARGE",
    kind: "invalid_argument",
    message: `the profile becomes a record of ${sizeBytes} bytes, and members of a cluster send each other ${RECORD_BYTES_MAX} at most: send it in parts`,
  });
}
