import { DEFAULT_PROFILE_LIMITS, encodePush, PprofWriter } from "@pyromesh/profile";
import type { AcceptanceWindow, EncodedRecord } from "@pyromesh/profile";
import { expect } from "chai";
import { arrivalName, ArrivalTimes } from "./arrival-times.ts";
import type { Arrival, PushedContent } from "./arrival-times.ts";

const MINUTE_MS = 60_000;
const START_MS = 1_700_000_000_000;
const ALWAYS: AcceptanceWindow = { rejectOlderThanMs: 0, rejectNewerThanMs: 0 };
const NAME = "t\0kk";
const ID = new Uint8Array(16).fill(7);

function content(value: number, pod = "a"): PushedContent {
  return { labels: [{ name: "service_name", value: "api" }, { name: "pod", value: pod }], pprof: Uint8Array.of(1, 2, value), ingest: undefined };
}

/** Arrival times under a clock that is set, and pushes by them. */
class World {
  readonly times: ArrivalTimes;
  nowMs = START_MS;
  window: AcceptanceWindow = ALWAYS;

  constructor(arrivalsMax?: number) {
    this.times = new ArrivalTimes(arrivalsMax === undefined ? {} : { arrivalsMax });
  }

  begin(pushed: PushedContent, name = NAME, refuted?: Arrival): Arrival {
    return this.times.take(name, pushed, this.nowMs, this.window, refuted);
  }

  /** A whole push of a profile without a clock. The time it was given, in minutes since the start. */
  push(pushed: PushedContent, name = NAME): number {
    const arrival = this.begin(pushed, name);
    expect(this.times.settle(arrival, [recordAt(arrival.timeMs)])).to.equal(true);
    return (arrival.timeMs - START_MS) / MINUTE_MS;
  }

  pass(minutes: number): void {
    this.nowMs += minutes * MINUTE_MS;
  }
}

function recordAt(timeMs: number, identity = 1): Pick<EncodedRecord, "timeMs" | "identity"> {
  return { timeMs, identity: new Uint8Array(16).fill(identity) };
}

/** A record as the head holds it. */
function encodeAt(timeMs: number, value: number, timeNs = 0n, idempotencyKey?: string): EncodedRecord {
  const cpu = { type: "cpu", unit: "nanoseconds" };
  const writer = new PprofWriter({ sampleTypes: [cpu], periodType: cpu, period: 1, timeNs, durationNs: 0n });
  writer.sample([writer.frame("work")], [value]);
  const [record] = encodePush({
    tenant: "t",
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "api" }],
    pprof: writer.finish(),
    profileId: idempotencyKey === undefined ? ID : undefined,
    idempotencyKey,
    fallbackTimeNs: BigInt(timeMs) * 1_000_000n,
    nonce: new Uint8Array(16),
    nowMs: timeMs,
    limits: DEFAULT_PROFILE_LIMITS,
    window: ALWAYS,
  });
  return record!;
}

describe("arrival times: who gets the time that was given before", () => {
  it("the same content by the same name; other bytes or labels by that name get their own time, and are known again too", () => {
    const world = new World();
    expect(world.push(content(1))).to.equal(0);
    world.pass(1);
    expect(world.push(content(2))).to.equal(1);
    world.pass(1);
    expect(world.push(content(1, "b"))).to.equal(2);
    world.pass(1);
    expect([world.push(content(1)), world.push(content(2)), world.push(content(1, "b"))]).to.deep.equal([0, 1, 2]);
    expect(world.push(content(1), "t\0kother")).to.equal(3);
  });

  it("a copy that comes while the first is in flight, also when other content by that name is in flight between them", () => {
    const world = new World();
    const first = world.begin(content(1));
    world.pass(1);
    const other = world.begin(content(2));
    expect(other.timeMs).to.equal(START_MS + MINUTE_MS);
    expect(world.begin(content(1))).to.equal(first);
    expect(world.begin(content(2))).to.equal(other);
  });

  it("the bytes are not read after the push, since their memory is used again", () => {
    const world = new World();
    const pooled = content(1);
    world.push(pooled);
    pooled.pprof.fill(9);
    world.pass(1);
    expect(world.push(content(1))).to.equal(0);
    const refused = content(3);
    world.times.keep(world.begin(refused, "t\0krefused"));
    refused.pprof.fill(9);
    world.pass(1);
    expect(world.push(content(3), "t\0krefused"), "a refused push comes again").to.equal(1);
  });

  it("a push that turns out to have a clock, or to hold nothing, leaves nothing behind", () => {
    const world = new World();
    for (let i = 0; i < 100; i++) {
      const pushed = content(i);
      const arrival = world.begin(pushed, `t\0k${i}`);
      expect(world.times.settle(arrival, i % 2 === 0 ? [recordAt(START_MS - 5)] : [])).to.equal(true);
    }
    expect(world.times.count).to.equal(0);
  });

  it("a push with a clock is forgotten, and one without a clock that came under its name meanwhile stays known", () => {
    const world = new World();
    const withClock = world.begin(content(1));
    world.push(content(2));
    world.times.settle(withClock, [recordAt(5)]);
    world.pass(1);
    expect(world.push(content(2))).to.equal(0);
  });

  it("names: the key before the id, a tenant's own, and none where the client says the time", () => {
    const named = { fallbackTimeMs: undefined, idempotencyKey: "k", profileId: ID };
    expect(arrivalName("t", named)).to.equal("t\0kk").and.to.equal(arrivalName("t", { ...named, profileId: undefined }));
    expect(arrivalName("u", named)).to.equal("u\0kk");
    expect(arrivalName("t", { ...named, idempotencyKey: undefined })).to.equal(`t\0i${"\x07".repeat(16)}`);
    expect(arrivalName("t", { ...named, fallbackTimeMs: 1 })).to.equal(undefined);
    expect(arrivalName("t", { fallbackTimeMs: undefined, idempotencyKey: undefined, profileId: undefined })).to.equal(undefined);
  });
});

describe("arrival times: bounds", () => {
  it("an hour: later the same push gets a new time, and keeps that one", () => {
    const world = new World();
    world.push(content(1));
    world.push(content(2));
    world.pass(60);
    expect(world.push(content(1))).to.equal(0);
    world.pass(1);
    expect([world.push(content(1)), world.push(content(2))]).to.deep.equal([61, 61]);
    world.pass(30);
    expect([world.push(content(1)), world.push(content(2))]).to.deep.equal([61, 61]);
    world.pass(180);
    world.push(content(3));
    world.pass(180);
    world.push(content(3), "t\0kother");
    expect(world.times.count, "what is old is not kept").to.be.at.most(2);
  });

  it("a time that the tenant's limits would refuse by now is not given again", () => {
    const world = new World();
    world.window = { rejectOlderThanMs: 10 * MINUTE_MS, rejectNewerThanMs: 5 * MINUTE_MS };
    world.push(content(1));
    world.pass(10);
    expect(world.push(content(1))).to.equal(0);
    world.pass(1);
    expect(world.push(content(1))).to.equal(11);
    world.pass(-5);
    expect(world.push(content(1))).to.equal(11);
    world.pass(-1);
    expect(world.push(content(1)), "the clock was set back").to.equal(5);
  });

  it("at the bound the oldest go: the last `arrivalsMax` are known, never more than twice as many", () => {
    const world = new World(10);
    for (let i = 0; i < 95; i++) {
      world.push(content(i % 7), `t\0k${i}`);
      expect(world.times.count).to.be.at.most(20);
    }
    world.pass(1);
    for (let i = 94; i >= 85; i--) expect(world.push(content(i % 7), `t\0k${i}`)).to.equal(0);
    expect(world.push(content(0), "t\0k0"), "forgotten").to.equal(1);
  });

  it("a client that sends everything under one name gets no earlier time for it, and fills no more than the bound", () => {
    const world = new World(10);
    for (let i = 0; i < 95; i++) {
      world.nowMs = START_MS + i * MINUTE_MS;
      expect(world.push(content(i))).to.equal(i);
    }
    expect(world.times.count).to.be.at.most(20);
    expect([94, 93, 92, 91].map((i) => world.push(content(i)))).to.deep.equal([94, 93, 92, 91]);
  });
});

describe("arrival times: after a start", () => {
  const NAME_OF_ID = arrivalName("t", { fallbackTimeMs: undefined, idempotencyKey: undefined, profileId: ID })!;
  let world: World;
  beforeEach(() => {
    world = new World();
    world.times.resume(encodeAt(START_MS, 1).bytes, START_MS + MINUTE_MS);
    world.pass(2);
  });

  /** What the writer does with a profile that has this value. How often it was encoded, and the minute it got. */
  function push(value: number): { readonly minute: number; readonly encodedCount: number } {
    let arrival: Arrival | undefined;
    for (let encodedCount = 1; ; encodedCount++) {
      arrival = world.begin(content(value), NAME_OF_ID, arrival);
      if (world.times.settle(arrival, [encodeAt(arrival.timeMs, value)])) return { minute: (arrival.timeMs - START_MS) / MINUTE_MS, encodedCount };
    }
  }

  it("the push that the head holds is known again, by the record it becomes", () => {
    expect(push(1)).to.deep.equal({ minute: 0, encodedCount: 1 });
    world.pass(1);
    expect(push(2), "its content is known by now").to.deep.equal({ minute: 3, encodedCount: 1 });
    expect(push(1)).to.deep.equal({ minute: 0, encodedCount: 1 });
  });

  it("another profile by that name gets its own time, and is known from then on", () => {
    expect(push(2)).to.deep.equal({ minute: 2, encodedCount: 2 });
    world.pass(1);
    expect(push(2)).to.deep.equal({ minute: 2, encodedCount: 1 });
    expect(push(3), "it may be what the head holds, as far as its name tells").to.deep.equal({ minute: 3, encodedCount: 2 });
    expect(push(1)).to.deep.equal({ minute: 0, encodedCount: 1 });
    expect(push(4), "that is known by now").to.deep.equal({ minute: 3, encodedCount: 1 });
  });

  it("of several pushes by one name each is known again, the newest ones up to a bound", () => {
    for (let minute = 1; minute <= 5; minute++) world.times.resume(encodeAt(START_MS + minute * MINUTE_MS, minute + 1).bytes, START_MS + 5 * MINUTE_MS);
    world.pass(8);
    expect([push(6), push(5), push(4), push(3)].map(({ minute }) => minute)).to.deep.equal([5, 4, 3, 2]);
    expect(push(2).minute, "forgotten").to.equal(10);
    expect(world.times.count).to.equal(5);
  });

  it("a client that sends everything under one name has some hundred pushes encoded twice, and then none", () => {
    let encodedCount = 0;
    for (let value = 2; value < 1_002; value++) encodedCount += push(value).encodedCount;
    expect(encodedCount).to.equal(1_000 + 256);
    expect(push(1).minute, "forgotten").to.equal(2);
  });

  it("records are held up to the bound, the newest ones, and for an hour", () => {
    world = new World(10);
    for (let at = 0; at < 25; at++) {
      const { times } = world;
      times.resume(encodeAt(START_MS, at + 1, 0n, `k${at}`).bytes, START_MS);
      expect(times.count).to.be.at.most(10);
    }
    const known = (at: number): boolean => {
      const arrival = world.begin(content(at), `t\0kk${at}`);
      return world.times.settle(arrival, [encodeAt(arrival.timeMs, at + 1, 0n, `k${at}`)]) && arrival.timeMs === START_MS;
    };
    world.pass(1);
    expect([known(14), known(15), known(24)]).to.deep.equal([false, true, true]);
    world.pass(70);
    known(23);
    expect(world.times.count, "this one and those of the half before").to.be.at.most(4);
  });

  it("two at once by that name: the one it is, and another, each get their own", () => {
    const [one, other] = [world.begin(content(1), NAME_OF_ID), world.begin(content(2), NAME_OF_ID)];
    expect(other.timeMs, "nothing tells them apart yet").to.equal(one.timeMs);
    expect(world.times.settle(one, [encodeAt(one.timeMs, 1)])).to.equal(true);
    expect(world.times.settle(other, [encodeAt(other.timeMs, 2)])).to.equal(false);
    expect(push(2)).to.deep.equal({ minute: 2, encodedCount: 1 });
    expect(push(1)).to.deep.equal({ minute: 0, encodedCount: 1 });
  });

  it("two copies at once of another profile get one time, whichever is encoded first", () => {
    const [one, copy] = [world.begin(content(2), NAME_OF_ID), world.begin(content(2), NAME_OF_ID)];
    expect(world.times.settle(one, [encodeAt(one.timeMs, 2)])).to.equal(false);
    const again = world.begin(content(2), NAME_OF_ID, one);
    world.pass(1);
    expect(world.times.settle(copy, [encodeAt(copy.timeMs, 2)])).to.equal(false);
    expect(world.begin(content(2), NAME_OF_ID, copy)).to.equal(again);
  });

  it("a push with a clock of its own by that name is let through as it is", () => {
    const arrival = world.begin(content(2), NAME_OF_ID);
    expect(world.times.settle(arrival, [encodeAt(0, 2, 1_700_000_000_000_000_001n - 60_000_000_000n)])).to.equal(true);
    expect(push(1)).to.deep.equal({ minute: 0, encodedCount: 1 });
  });

  it("records with a clock in nanoseconds, old ones and unreadable ones are not remembered", () => {
    const { times } = new World();
    times.resume(encodeAt(START_MS, 1, 1_700_000_000_000_000_001n).bytes, START_MS);
    times.resume(encodeAt(START_MS - 61 * MINUTE_MS, 1).bytes, START_MS);
    times.resume(new Uint8Array(50), START_MS);
    expect(times.count).to.equal(0);
    times.resume(encodeAt(START_MS - 59 * MINUTE_MS, 1).bytes, START_MS);
    expect(times.count).to.equal(1);
  });
});
