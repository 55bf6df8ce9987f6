/**
 * What was pushed and what was answered, against what queries say. Push n has one stacktrace of its own with value n + 1, so an answer tells each
 * push apart: missing, there once, or counted more than once.
 *
 *   acked     answered 200: every later complete answer must hold it, once
 *   unknown   no answer, or a 5xx: it may be there or not, once at most
 *   refused   answered 4xx: it must not be there
 */
export const SERVICE_COUNT = 16;
const FAILURE_KINDS_MAX = 200;
const FAILED_MAX = 2_000;
/** So long after a member was killed or stopped a query may fail at the others, and no longer. */
export const QUERY_GRACE_MS = 1_000;
/** A request that takes longer is shown in the timeline, though it succeeds. */
const SLOW_MS = 1_000;

export class Ledger {
  /** n -> { state, ackedAtMs } */
  #pushes = new Map();
  #nextNumber = 0;
  #problems = new Map();
  #failureKinds = new Map();
  ackedCount = 0;
  unknownCount = 0;
  refusedCount = 0;
  /** Requests to live members that were not answered 200, however often they were sent again. */
  failures = { push: 0, query: 0 };
  /** Of the failed queries those that failed more than QUERY_GRACE_MS after a member was killed or stopped. */
  lateQueries = 0;
  /** Requests that failed while links or the bucket failed: a member that is cut off must refuse. */
  excused = { push: 0, query: 0 };
  /** Requests to live members that were answered 200 after more than SLOW_MS. */
  slow = { push: 0, query: 0 };
  #isExcusing = false;
  #memberFaultMs = -Infinity;
  /** Requests under way to a member that was killed or paused just then. */
  cutOff = { push: 0, query: 0 };
  #failed = [];
  #lastSuccess = new Map();
  longestGapMs = { push: 0, query: 0 };

  begin() {
    const n = this.#nextNumber++;
    this.#pushes.set(n, { state: "unknown" });
    this.unknownCount++;
    return n;
  }

  acked(n) {
    const push = this.#pushes.get(n);
    if (push.state === "acked") return;
    push.state = "acked";
    push.ackedAtMs = performance.now();
    this.unknownCount--;
    this.ackedCount++;
  }

  refused(n) {
    this.#pushes.get(n).state = "refused";
    this.unknownCount--;
    this.refusedCount++;
  }

  /** A fault begins that takes one member away: the others must go on. */
  memberFault(nowMs = performance.now()) {
    this.#memberFaultMs = nowMs;
  }

  /** A fault begins (true), or has healed (false), under which members may have to refuse. */
  excuse(isExcusing) {
    this.#isExcusing = isExcusing;
  }

  /** Of requests to members that are meant to answer: the longest time in which none of them succeeded. */
  succeeded(kind, { sentMs, url, wasCutOff = false } = {}, nowMs = performance.now()) {
    if (nowMs - sentMs > SLOW_MS && !wasCutOff) {
      this.slow[kind]++;
      if (this.#failed.length < FAILED_MAX) this.#failed.push({ kind, words: undefined, sentMs, endedMs: nowMs, url });
    }
    const last = this.#lastSuccess.get(kind);
    if (last !== undefined) this.longestGapMs[kind] = Math.max(this.longestGapMs[kind], nowMs - last);
    this.#lastSuccess.set(kind, nowMs);
  }

  /** `words`: what was answered; equal ones are counted together. */
  failed(kind, words, { sentMs, url, wasCutOff = false } = {}, nowMs = performance.now()) {
    if (wasCutOff) {
      this.cutOff[kind]++;
      return;
    }
    if (this.#isExcusing) this.excused[kind]++;
    else {
      this.failures[kind]++;
      if (kind === "query" && nowMs - this.#memberFaultMs > QUERY_GRACE_MS) this.lateQueries++;
    }
    if (this.#failed.length < FAILED_MAX) this.#failed.push({ kind, words, sentMs, endedMs: nowMs, url });
    const name = `${this.#isExcusing ? "excused " : ""}${kind}: ${words}`;
    if (this.#failureKinds.size < FAILURE_KINDS_MAX || this.#failureKinds.has(name)) this.#failureKinds.set(name, (this.#failureKinds.get(name) ?? 0) + 1);
  }

  /** The first FAILED_MAX of those that failed or were slow: { kind, words, sentMs, endedMs, url }. `words` undefined: it was answered in the end. */
  get notableRequests() {
    return this.#failed;
  }

  /** What failed requests were answered, the most frequent first. */
  failureKinds() {
    return [...this.#failureKinds].sort((a, b) => b[1] - a[1]).map(([words, count]) => `${count} x ${words}`);
  }

  get pushCount() {
    return this.#nextNumber;
  }

  /** `counted`: push number -> value, of one complete answer over `service` (undefined: all) whose query was sent at `sentMs`. Returns what is wrong, in words. */
  check(counted, { service, sentMs, by }) {
    const wrong = [];
    for (const [n, { state, ackedAtMs }] of this.#pushes) {
      if (service !== undefined && n % SERVICE_COUNT !== service) continue;
      const value = counted.get(n);
      if (value === undefined) {
        if (state === "acked" && ackedAtMs < sentMs) wrong.push(this.#problem("lost", n, by, "was acknowledged before the query and is not in its answer"));
      } else if (value !== n + 1) wrong.push(this.#problem("doubled", n, by, `counts ${value} instead of ${n + 1}`));
      else if (state === "refused") wrong.push(this.#problem("refused-but-there", n, by, "was refused and is in the answer"));
    }
    for (const n of counted.keys()) if (!this.#pushes.has(n)) wrong.push(this.#problem("never-sent", n, by, "was never sent"));
    return wrong;
  }

  #problem(kind, n, by, words) {
    const text = `${kind}: push ${n} ${words} (asked ${by})`;
    this.#problems.set(`${kind}/${n}`, text);
    return text;
  }

  /** Distinct pushes that any answer was wrong about. */
  count(kind) {
    return [...this.#problems.keys()].filter((key) => key.startsWith(`${kind}/`)).length;
  }

  problems() {
    return [...this.#problems.values()];
  }
}
