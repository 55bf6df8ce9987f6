import { gunzipSync } from "node:zlib";
import { systemClock } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import type { DebugProfileKind } from "@pyromesh/api";
import { expect } from "chai";
import { Profile } from "pprof-format";
import { ProcessProfiler } from "./process-profiler.ts";

const never = new AbortController().signal;

/**
 * A fixed amount of work, some 0.3 s of one core: V8 samples by the time that this thread gets. What the process has used of its cores is no
 * measure, since V8's other threads collect what earlier tests left.
 */
function work(): unknown[] {
  return Array.from({ length: 6000 }, () => Array.from({ length: 1000 }, (_, index) => String(index)));
}

/** Seconds pass as soon as the thread has done its work. */
const busyClock = { ...systemClock, sleep: async () => void work() };

function sampleTypes(profile: Profile): string[] {
  return profile.sampleType.map(({ type, unit }) => `${profile.stringTable.strings[Number(type)]}/${profile.stringTable.strings[Number(unit)]}`);
}

describe("process profiler", () => {
  const expected: Readonly<Record<DebugProfileKind, readonly string[]>> = {
    cpu: ["sample/count", "wall/nanoseconds", "cpu/nanoseconds"],
    wall: ["sample/count", "wall/nanoseconds"],
    heap: ["objects/count", "space/bytes"],
  };
  for (const kind of ["cpu", "wall", "heap"] as const) {
    it(`${kind}: a gzipped pprof of what the thread did, one after the other`, async () => {
      const profiler = new ProcessProfiler({ clock: busyClock });
      for (let time = 0; time < 2; time++) {
        const profile = Profile.decode(gunzipSync(await profiler.profile(kind, 1, never)));
        expect(sampleTypes(profile)).to.deep.equal(expected[kind]);
        expect(profile.sample.length).to.be.above(0);
        expect(profile.stringTable.strings).to.include("work");
      }
    });
  }

  it("refuses a second one beside the first, with the time that is left, and takes one again after it", async () => {
    const ends: (() => void)[] = [];
    const asleep: (() => void)[] = [];
    const slept = (): Promise<void> => new Promise((resolve) => void asleep.push(resolve));
    const sleep = (): Promise<void> => {
      asleep.pop()?.();
      return new Promise((resolve) => void ends.push(resolve));
    };
    const profiler = new ProcessProfiler({ clock: { ...systemClock, sleep } });
    let waiting = slept();
    const first = profiler.profile("wall", 20, never);
    const refusal = await profiler.profile("heap", 1, never).then(() => undefined, (error: CodedError) => error);
    expect(refusal).to.include({ code: "DEBUG_PROFILE_BUSY", kind: "unavailable" });
    expect(refusal!.details["retryAfterSeconds"]).to.equal(20);
    await waiting;
    ends.pop()!();
    await first;
    waiting = slept();
    const again = profiler.profile("heap", 1, never);
    await waiting;
    ends.pop()!();
    expect((await again).length).to.be.above(0);
  });

  it("a caller that goes away ends it, and leaves the profiler free", async () => {
    const aborted = new AbortController();
    const slow = new ProcessProfiler({ clock: { ...systemClock, sleep: (_, signal) => Promise.reject(signal!.reason) } });
    aborted.abort(new Error("gone"));
    for (const kind of ["cpu", "wall", "heap"] as const) {
      expect(await slow.profile(kind, 60, aborted.signal).then(() => undefined, (error: Error) => error.message)).to.equal("gone");
    }
    expect((await new ProcessProfiler({ clock: busyClock }).profile("cpu", 1, never)).length).to.be.above(0);
  });

  it("where the node profiles itself already, time is refused with what to do, and the heap is answered at once", async () => {
    const { default: pprof } = await import("@datadog/pprof");
    pprof.time.start({ durationMillis: 1000 });
    pprof.heap.start(512 * 1024, 64);
    try {
      const profiler = new ProcessProfiler({ clock: { ...systemClock, sleep: () => Promise.reject(new Error("it waited")) } });
      const refusal = await profiler.profile("cpu", 1, never).then(() => undefined, (error: CodedError) => error);
      expect(refusal).to.include({ code: "DEBUG_PROFILE_IN_USE", kind: "failed_precondition" });
      expect(refusal!.message).to.include("--self-profile");
      const kept = work();
      expect(Profile.decode(gunzipSync(await profiler.profile("heap", 1, never))).sample.length).to.be.above(0);
      expect(kept.length).to.be.above(0);
      expect(pprof.time.isStarted()).to.equal(true);
    } finally {
      pprof.time.stop();
      pprof.heap.stop();
    }
  });
});
