import { Metrics } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import type { ApiRequest } from "../ports/http.ts";
import { fakeRequest } from "../testing/fake-request.ts";
import { FakeSink } from "../testing/fake-sink.ts";
import { Discards } from "./discards.ts";
import { ingestHandler } from "./ingest.ts";
import { pushHandler } from "./push.ts";
import type { WriteLimits } from "./push.ts";
import { PushCounts } from "./push-counts.ts";
import { PushGate, readAdmitted } from "./push-gate.ts";
import { RateLimit } from "./rate-limit.ts";

interface Load {
  readonly arrivalsPerSecond: (nowMs: number) => number;
  readonly endsPerSecond: number | ((nowMs: number) => number);
  readonly seconds: number;
  /** Nothing ends from the first to the second. */
  readonly stallMs?: readonly [number, number];
  /** So many end together, as in a commit. */
  readonly groupCount?: number;
}

interface Outcome {
  /** When they arrived, and how long they took. */
  readonly accepted: readonly { readonly atMs: number; readonly tookMs: number }[];
  readonly refusedAtMs: readonly number[];
}

/** Pushes arrive, and are worked on one after the other. */
function run({ arrivalsPerSecond, endsPerSecond, seconds, stallMs = [0, 0], groupCount = 1 }: Load): Outcome {
  const clock = new ManualClock(0);
  const gate = new PushGate({ clock, metrics: new Metrics() });
  const waiting: number[] = [];
  const accepted: { atMs: number; tookMs: number }[] = [];
  const refusedAtMs: number[] = [];
  let arrivals = 0;
  let room = 0;
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs++, clock.advance(1)) {
    for (arrivals += arrivalsPerSecond(nowMs) / 1000; arrivals >= 1; arrivals--) {
      try {
        waiting.push(gate.enter());
      } catch {
        refusedAtMs.push(nowMs);
      }
    }
    if (nowMs >= stallMs[0] && nowMs < stallMs[1]) continue;
    room = Math.min(room + (typeof endsPerSecond === "number" ? endsPerSecond : endsPerSecond(nowMs)) / 1000, groupCount + 1);
    if (room < groupCount) continue;
    for (; room >= 1 && waiting.length > 0; room--) {
      const enteredMs = waiting.shift()!;
      gate.leave(enteredMs);
      accepted.push({ atMs: enteredMs, tookMs: nowMs - enteredMs });
    }
  }
  return { accepted, refusedAtMs };
}

/** The time within which 99 of 100 ended. */
function p99Ms(accepted: Outcome["accepted"]): number {
  const tookMs = accepted.map((push) => push.tookMs).sort((a, b) => a - b);
  return tookMs[Math.floor(tookMs.length * 0.99)]!;
}

describe("push gate", () => {
  it("three times what the node takes: what is accepted ends within a second, from the first moment on, and as much is accepted as can be", () => {
    for (const groupCount of [1, 8]) {
      for (const endsPerSecond of [150, 300, 900]) {
        const { accepted, refusedAtMs } = run({ arrivalsPerSecond: () => 3 * endsPerSecond, endsPerSecond, seconds: 30, groupCount });
        const name = `${endsPerSecond} a second, ${groupCount} at a time`;
        expect(p99Ms(accepted), name).below(1_000);
        expect(Math.max(...accepted.filter(({ atMs }) => atMs > 3_000).map(({ tookMs }) => tookMs)), name).below(500);
        expect(accepted.length / 30, name).above(0.95 * endsPerSecond);
        expect(refusedAtMs, name).not.empty;
      }
    }
  });

  it("a load that the node can take is never refused, nor is a burst that it has taken a moment later", () => {
    expect(run({ arrivalsPerSecond: () => 280, endsPerSecond: 300, seconds: 30 }).refusedAtMs).empty;
    expect(run({ arrivalsPerSecond: (nowMs) => (nowMs % 10_000 < 100 ? 2_500 : 100), endsPerSecond: 500, seconds: 30 }).refusedAtMs).empty;
  });

  it("a stall refuses nothing: those that wait, wait for the same thing, and end soon after it", () => {
    for (const lengthMs of [200, 900, 2_000]) {
      expect(run({ arrivalsPerSecond: () => 200, endsPerSecond: 2_000, seconds: 30, stallMs: [5_000, 5_000 + lengthMs] }).refusedAtMs, `${lengthMs} ms`).empty;
    }
  });

  it("a stall during an overload does not lift the bound: no more is let in than ends in 0.3 s", () => {
    const { accepted } = run({ arrivalsPerSecond: () => 900, endsPerSecond: 300, seconds: 20, stallMs: [10_000, 13_000] });
    expect(accepted.filter(({ atMs }) => atMs >= 10_000 && atMs < 13_000).length).below(10);
    expect(Math.max(...accepted.filter(({ atMs }) => atMs >= 13_000).map(({ tookMs }) => tookMs))).below(1_000);
  });

  it("64 in flight that end within 0.6 s, 300 that do within 0.3 s, 16 at any rate: nothing is refused, though each waits for the others", () => {
    for (const [inFlightCount, everyMs] of [
      [64, 9],
      [300, 0.9],
      [16, 200],
    ] as const) {
      const clock = new ManualClock(0);
      const gate = new PushGate({ clock, metrics: new Metrics() });
      const inFlight = Array.from({ length: inFlightCount }, () => gate.enter());
      for (let count = 0; count < 3_000; count++) {
        clock.advance(everyMs);
        gate.leave(inFlight.shift()!);
        inFlight.push(gate.enter());
      }
    }
  });

  it("a node that becomes slow for some seconds, as during a flush, lets in no more than ends within a second", () => {
    const rateOf = (nowMs: number): number => (nowMs >= 10_000 && nowMs < 15_000 ? 70 : 350);
    const { accepted } = run({ arrivalsPerSecond: () => 1_000, endsPerSecond: rateOf, seconds: 20 });
    const slow = accepted.filter(({ atMs }) => atMs > 11_000 && atMs < 15_000).map(({ tookMs }) => tookMs);
    expect(slow).not.empty;
    expect(Math.max(...slow)).below(900);
  });

  it("once the load is gone, so is the bound: within a second, or two", () => {
    const { refusedAtMs } = run({ arrivalsPerSecond: (nowMs) => (nowMs < 10_000 ? 900 : 200), endsPerSecond: 300, seconds: 20 });
    expect(refusedAtMs.at(-1)).within(9_900, 11_000);
    const { refusedAtMs: refused, accepted } = run({ arrivalsPerSecond: (nowMs) => (nowMs < 10_000 ? 900 : nowMs < 15_000 ? 0 : nowMs < 15_100 ? 1_000 : 0), endsPerSecond: 300, seconds: 20 });
    expect(refused.at(-1)).below(10_000);
    expect(accepted.filter(({ atMs }) => atMs >= 15_000)).length(100);
  });

  it("the refusal says when the work at hand is done, and is counted", async () => {
    const { gate, metrics } = overloaded();
    let refusal: unknown;
    try {
      gate.enter();
    } catch (thrown) {
      refusal = thrown;
    }
    expect(refusal).include({ code: "OVERLOADED", kind: "unavailable", message: "this node works on 64 pushes and ends 20 a second: try again in 4 s, or at another node" });
    expect(refusal).property("details").include({ retryAfterSeconds: 4, reason: "overloaded" });
    expect(await metrics.text()).contain('pyromesh_pushes_refused_total{reason="overloaded"} 1');
  });

  it("an overload is seen before a push has been slow: of five times as many as end, none that is let in takes longer than 0.6 s", () => {
    for (const groupCount of [1, 8]) {
      const { accepted } = run({ arrivalsPerSecond: (nowMs) => (nowMs < 5_000 ? 200 : 2_000), endsPerSecond: 400, seconds: 10, groupCount });
      expect(Math.max(...accepted.map(({ tookMs }) => tookMs)), `${groupCount} at a time`).below(600);
    }
  });

  it("clients that come back after Retry-After get in: as much is accepted as without refusals, and each within a few tries", () => {
    const clock = new ManualClock(0);
    const gate = new PushGate({ clock, metrics: new Metrics() });
    const working: { readonly enteredMs: number; readonly tryCount: number }[] = [];
    const backAt = new Map<number, number[]>();
    let acceptedCount = 0;
    let tryCountMax = 0;
    const arrive = (nowMs: number, tryCount: number): void => {
      try {
        working.push({ enteredMs: gate.enter(), tryCount });
      } catch (refusal) {
        const backMs = nowMs + (refusal as { details: { retryAfterSeconds: number } }).details.retryAfterSeconds * 1000;
        backAt.set(backMs, [...(backAt.get(backMs) ?? []), tryCount + 1]);
      }
    };
    // Three times what ends for 2 s, then half of it: what was refused is worked off.
    for (let nowMs = 0; nowMs < 12_000; nowMs++, clock.advance(1)) {
      for (const tryCount of backAt.get(nowMs) ?? []) arrive(nowMs, tryCount);
      if (nowMs < 2_000 || nowMs % 6 === 0) arrive(nowMs, 1);
      if (nowMs % 3 !== 0 || working.length === 0) continue;
      const { enteredMs, tryCount } = working.shift()!;
      gate.leave(enteredMs);
      acceptedCount++;
      tryCountMax = Math.max(tryCountMax, tryCount);
    }
    expect(acceptedCount).above(0.95 * (2_000 + 10_000 / 6));
    expect(tryCountMax).below(10);
  });

  it("is asked before a body is read, and again after: others have come meanwhile", async () => {
    const full = overloaded();
    const read: string[] = [];
    const request: ApiRequest = {
      ...fakeRequest({ path: "/ingest", headers: { "content-length": "1" } }),
      body: () => {
        read.push("body");
        full.gate.enter();
        return Promise.resolve(new Uint8Array(1));
      },
    };
    expect(await readAdmitted(request, 2 ** 20, full.gate, {}).catch((thrown: unknown) => thrown)).include({ code: "OVERLOADED" });
    expect(read).empty;
    for (const enteredMs of full.inFlight.slice(0, 49)) full.gate.leave(enteredMs);
    expect(await readAdmitted(request, 2 ** 20, full.gate, {}).catch((thrown: unknown) => thrown)).include({ code: "OVERLOADED" });
    expect(read).deep.equal(["body"]);
  });

  it("Push and /ingest answer 503 with Retry-After, and decompress nothing", async () => {
    const { gate, clock, metrics, inFlight } = overloaded();
    const limitsOf = (): WriteLimits => ({ ingestionRateBytesPerSecond: 0, ingestionBurstBytes: 2 ** 20, ingestionBodyBytesMax: 2 ** 20, profileSizeBytesMax: 2 ** 20 });
    const sink = new FakeSink();
    const modules = { sink, clock, gate, rateLimit: new RateLimit({ limitsOf }, { clock }), counts: new PushCounts({ metrics }), discards: new Discards({ metrics }) };
    const handlers = [pushHandler({ limitsOf }, modules), ingestHandler({ limitsOf }, modules)];
    // It claims to be gzip and is not, which is found where it is decompressed.
    const request = fakeRequest({ path: "/ingest?name=app", headers: { "content-type": "application/proto", "content-encoding": "gzip", "content-length": "3" }, body: "abc" });
    for (const handler of handlers) {
      const reply = await handler(request);
      expect(reply).include({ status: 503 });
      expect(reply.headers).include({ "retry-after": "4" });
    }
    expect(sink.arrived).empty;
    for (const enteredMs of inFlight) gate.leave(enteredMs);
    expect(await handlers[0]!(request)).include({ status: 400 });
  });
});

/** A gate that refuses: 20 pushes a second end, and 64 are at work. */
function overloaded(): { readonly gate: PushGate; readonly clock: ManualClock; readonly metrics: Metrics; readonly inFlight: readonly number[] } {
  const clock = new ManualClock(0);
  const metrics = new Metrics();
  const gate = new PushGate({ clock, metrics });
  const inFlight = Array.from({ length: 120 }, () => gate.enter());
  while (inFlight.length > 64) {
    clock.advance(50);
    gate.leave(inFlight.shift()!);
  }
  return { gate, clock, metrics, inFlight };
}
