import type { TenantId } from "@pyromesh/base";
import type { HeardObject } from "@pyromesh/block";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { ReleasedInto } from "./released-into.ts";
import { toldSegment } from "../background/told-segment.ts";

const HOUR_MS = 3_600_000;

function segment(ordinal: number, { tenant = "a", hour = 0, isUploaded = true } = {}): HeardObject {
  const named = { tenant: tenant as TenantId, windowStartMs: hour * HOUR_MS, level: 0, minTimeMs: hour * HOUR_MS, maxTimeMs: hour * HOUR_MS + 1, storeId: "0f".repeat(16), ordinal } as const; // a tenant id that the API would take
  return toldSegment(named, { sizeBytes: 100, isUploaded });
}

describe("released into", () => {
  let clock: ManualClock;
  let released: ReleasedInto;
  const ordinals = (tenants: readonly string[], first: number, last: number): number[] => released.within(tenants, first * HOUR_MS, last * HOUR_MS).map(({ meta }) => meta.ordinal);
  beforeEach(() => {
    clock = new ManualClock(1_700_000_000_000);
    released = new ReleasedInto({ countMax: 3 }, { clock });
  });

  it("names the objects of these tenants and windows, and remembers since it was made", () => {
    const since = clock.monotonicMs();
    clock.advance(10);
    for (const one of [segment(1), segment(2, { hour: 1 }), segment(3, { tenant: "b" })]) released.note(one);
    expect([ordinals(["a"], 0, 1), ordinals(["a"], 1, 5), ordinals(["a", "b", "c"], 0, 0), ordinals(["a"], 2, 9)]).deep.equal([[1, 2], [2], [1, 3], []]);
    expect(released.sinceMs).equal(since);
  });

  it("an object noted again is one; what was uploaded takes the place of what waited, and what was lost is no more", () => {
    released.note(segment(1, { isUploaded: false }));
    released.note(segment(1));
    expect(released.within(["a"], 0, 0)).deep.equal([segment(1)]);
    released.forget(segment(1).key);
    expect([ordinals(["a"], 0, 0), released.count]).deep.equal([[], 0]);
  });

  it("past the bound the oldest is forgotten, and it no longer claims to remember that time", () => {
    for (const ordinal of [1, 2, 3, 4]) {
      clock.advance(1000);
      released.note(segment(ordinal));
    }
    expect(ordinals(["a"], 0, 0)).deep.equal([2, 3, 4]);
    expect(released.sinceMs).within(clock.monotonicMs() - 2999, clock.monotonicMs() - 2000);
  });

  it("a segment that waits for its upload is named for as long as it waits", () => {
    released.note(segment(1, { isUploaded: false }));
    clock.advance(25 * HOUR_MS);
    for (const ordinal of [2, 3, 4]) released.note(segment(ordinal));
    expect(ordinals(["a"], 0, 0)).deep.equal([1, 3, 4]);
  });

  it("after 24 h an object is forgotten", () => {
    released.note(segment(1));
    const notedMs = clock.monotonicMs();
    clock.advance(24 * HOUR_MS);
    expect(ordinals(["a"], 0, 0)).deep.equal([1]);
    clock.advance(1);
    expect(ordinals(["a"], 0, 0)).deep.equal([]);
    expect(released.sinceMs).above(notedMs);
  });

  describe("after a restart", () => {
    let disk: Map<string, Uint8Array>;
    beforeEach(() => {
      disk = new Map();
      restart(0);
    });
    /** As a batch of the head. */
    const leave = (object: HeardObject): void => {
      released.note(object);
      const { key, bytes, forgotten } = released.noteOf(object)!;
      for (const old of forgotten) disk.delete(old);
      disk.set(key, bytes);
    };
    /** `sinceMs` undefined: the disk cannot say it. */
    const restart = (sinceMs: number | undefined): void => {
      released = new ReleasedInto({ countMax: 3, found: { entries: disk, sinceMs } }, { clock });
      released.beginNoting();
    };
    /** How far back it says that it remembers. */
    const remembersMs = (): number => clock.monotonicMs() - released.sinceMs;

    it("it names what the disk has, and remembers as far back as before", () => {
      expect(remembersMs(), "nothing has left a new store").equal(24 * HOUR_MS - 600_000);
      leave(segment(1));
      leave(segment(2, { hour: 1 }));
      restart(0);
      expect([ordinals(["a"], 0, 1), remembersMs()]).deep.equal([[1, 2], 24 * HOUR_MS - 600_000]);
      expect(released.within(["a"], 0, 0)).deep.equal([segment(1)]);
    });

    it("nothing is noted before notes begin; then what is remembered is, and since when", () => {
      clock.advance(HOUR_MS);
      released = new ReleasedInto({}, { clock });
      const startMs = clock.nowMs();
      clock.advance(1000);
      released.note(segment(1));
      released.note(segment(2, { isUploaded: false }));
      expect(released.noteOf(segment(1))).equal(undefined);
      clock.advance(1000);
      const { notes, sinceMs } = released.beginNoting();
      expect([notes.map(({ key }) => key), sinceMs]).deep.equal([[segment(1).key], startMs]);
      for (const { bytes, key } of notes) disk.set(key, bytes);
      clock.advance(1000);
      restart(sinceMs);
      expect([ordinals(["a"], 0, 0), remembersMs()]).deep.equal([[1], 3000]);
    });

    it("a block is named with its sources", () => {
      const { meta } = segment(1);
      const block = { key: "v1/a/block", sizeBytes: 7, isUploaded: true, meta: { ...meta, level: 1, recordCount: 9, sources: [{ storeId: "0f".repeat(16), firstOrdinal: 1, lastOrdinal: 8 }] } };
      leave(block);
      restart(0);
      expect(released.within(["a"], 0, 0)).deep.equal([block]);
    });

    it("what was forgotten leaves the disk with the next note", () => {
      for (const ordinal of [1, 2, 3, 4]) leave(segment(ordinal));
      expect(disk.size).equal(3);
      released.forget(segment(2).key);
      leave(segment(5));
      expect([...disk.keys()]).deep.equal([segment(3).key, segment(4).key, segment(5).key]);
    });

    it("it begins anew where the disk may lack a note, is at its bound, has noise, or seems a day old", () => {
      leave(segment(1));
      restart(undefined);
      expect([ordinals(["a"], 0, 0), remembersMs()], "still named").deep.equal([[1], 0]);
      leave(segment(2));
      leave(segment(3));
      restart(0);
      expect([ordinals(["a"], 0, 0), remembersMs()], "at its bound").deep.equal([[1, 2, 3], 0]);
      disk.delete(segment(3).key);
      disk.set(segment(2).key, Uint8Array.of(1, 2));
      restart(0);
      expect([ordinals(["a"], 0, 0), remembersMs()], "noise").deep.equal([[1], 0]);
      disk.delete(segment(2).key);
      clock.advance(25 * HOUR_MS);
      restart(0);
      expect([ordinals(["a"], 0, 0), remembersMs()], "a day old").deep.equal([[], 0]);
    });
  });
});
