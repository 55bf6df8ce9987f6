/**
 * Under which time a push with a name and without a time of its own counts, whichever node it is sent to: the nodes that its name and content
 * are placed on each keep the time that they were asked with first (cluster/arrival-register.ts), and the time that most of them keep is the push's.
 *
 *   register a   t1        a majority keeps t1                  ──► t1, also for who comes later: registers keep what they have
 *   register b   t1        three nodes came at the same time:
 *   register c   t2        t1, t2, t3, and all have answered    ──► the earliest, which each of them sees
 *
 * Registers that answered with another time are told the one that was decided.
 *
 * What must stay true: two nodes that are told a time are told the same one, as long as the registers stay the same and remember. So where too few of them
 * answer the push is refused, and can be sent again: to guess would count it twice. A change of the ring within the hour in which a push is repeated,
 * or two registers that start anew, may count it twice: COMPAT.md.
 */
import { unavailable } from "@pyromesh/base";
import { majorityOf } from "@pyromesh/ring";
import { decodeArrivalTime, encodeArrival } from "../cluster/arrival-register.ts";
import type { ArrivalRegister } from "../cluster/arrival-register.ts";
import type { Cluster } from "../cluster/ports.ts";
import type { PlacedRank, Placement } from "./placement.ts";

/** Registers are memory: one that is alive answers in milliseconds. */
const TIMEOUT_MS = 1_000;
const NO_NAMES: ReadonlySet<string> = new Set();

export interface ArrivalAgreementModules {
  readonly cluster: Cluster;
  readonly placement: Pick<Placement, "without">;
  readonly register: ArrivalRegister;
}

export class ArrivalAgreement {
  readonly #modules: ArrivalAgreementModules;

  constructor(modules: ArrivalAgreementModules) {
    this.#modules = modules;
  }

  /** `key`: of the push's name and content, 32 bytes. `timeMs`: its time where it came here first. Rejects ARRIVAL_UNDECIDED. */
  async agree(tenant: string, key: Uint8Array, timeMs: number): Promise<number> {
    const { cluster, placement } = this.#modules;
    if (cluster.view.members.length === 1) return timeMs;
    const fingerprint = Buffer.from(key.buffer, key.byteOffset, key.byteLength).readBigUInt64LE(0);
    const { ranks } = placement.without({ tenant, service: "", fingerprint }, NO_NAMES);
    const answers = new Answers(ranks.length);
    await new Promise<void>((resolve) => {
      for (const rank of ranks) {
        void this.#ask(rank, key, timeMs, false).then(
          (first) => answers.add(rank, first) && resolve(),
          () => answers.addFailure() && resolve(),
        );
      }
      if (ranks.length === 0) resolve();
    });
    const { decided } = answers;
    if (decided === undefined) throw unavailable("ARRIVAL_UNDECIDED", "the push has no time of its own, and too few members answered under which time it came first: send it again, it counts once");
    // Where it fails, that register is one that cannot be counted on, as before.
    for (const rank of answers.others) void this.#ask(rank, key, decided, true).catch(() => undefined);
    return decided;
  }

  async #ask({ member, isSelf }: PlacedRank, key: Uint8Array, timeMs: number, isDecided: boolean): Promise<number> {
    const { cluster, register } = this.#modules;
    if (!isSelf) return decodeArrivalTime(await cluster.peers.request(member, "arrival", encodeArrival(key, timeMs, isDecided), { timeoutMs: TIMEOUT_MS }));
    if (isDecided) register.settle(key, timeMs);
    return register.first(key, timeMs);
  }
}

/** What the registers say, and what follows from it. */
class Answers {
  readonly #timeOf = new Map<PlacedRank, number>();
  readonly #registerCount: number;
  #failureCount = 0;

  constructor(registerCount: number) {
    this.#registerCount = registerCount;
  }

  /** True: nothing more is worth waiting for. */
  add(register: PlacedRank, timeMs: number): boolean {
    this.#timeOf.set(register, timeMs);
    return this.#isOver;
  }

  addFailure(): boolean {
    this.#failureCount++;
    return this.#isOver;
  }

  /** Undefined: the registers that answered decide none. */
  get decided(): number | undefined {
    const times = [...this.#timeOf.values()];
    const kept = times.find((timeMs) => times.filter((other) => other === timeMs).length >= majorityOf(this.#registerCount));
    return kept ?? (times.length === this.#registerCount && times.length > 0 ? Math.min(...times) : undefined);
  }

  /** Registers that keep another time. */
  get others(): readonly PlacedRank[] {
    const { decided } = this;
    return [...this.#timeOf].filter(([, timeMs]) => timeMs !== decided).map(([register]) => register);
  }

  get #isOver(): boolean {
    return this.decided !== undefined || this.#timeOf.size + this.#failureCount === this.#registerCount;
  }
}
