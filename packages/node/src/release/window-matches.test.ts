import { seededRandom } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import type { HeardObject } from "@pyromesh/block";
import { expect } from "chai";
import { IdentityLookup } from "./identity-lookup.ts";
import { MatchMemory } from "./match-memory.ts";
import { toldSegment } from "../background/told-segment.ts";
import { WINDOW_OBJECTS_MAX, WindowMatches } from "./window-matches.ts";

const random = seededRandom(5);

function objectOf(ordinal: number, { isUploaded = true, windowStartMs = 0 } = {}): HeardObject {
  const named = { tenant: "a" as TenantId, windowStartMs, level: 0, minTimeMs: windowStartMs, maxTimeMs: windowStartMs + 1, storeId: "0f".repeat(16), ordinal } as const; // a tenant id that the API would take
  return toldSegment(named, { sizeBytes: 100, isUploaded });
}

describe("identity lookup", () => {
  it("finds its own, at any offset, and no other", () => {
    for (const count of [0, 1, 7, 8, 9, 1000]) {
      const bytes = random.bytes(count * 16);
      const lookup = new IdentityLookup(bytes);
      for (let index = 0; index < count; index++) expect(lookup.has(bytes, index * 16)).equal(true);
      for (let other = 0; other < 200; other++) expect(lookup.has(random.bytes(16))).equal(false);
    }
  });

  it("one that comes a hundred times is there once, and the table does not fill up", () => {
    const one = random.bytes(16);
    const lookup = new IdentityLookup(Uint8Array.from(Buffer.concat(Array.from({ length: 100 }, () => one))));
    expect([lookup.has(one), lookup.has(random.bytes(16))]).deep.equal([true, false]);
  });
});

describe("matches of a window", () => {
  it("name the object that holds an identity, and none for another", () => {
    const window = new WindowMatches();
    const objects = [0, 1, 2].map((ordinal) => ({ object: objectOf(ordinal), bytes: random.bytes(16 * 700) }));
    for (const { object, bytes } of objects) window.add(object, bytes);
    for (const { object, bytes } of objects) for (let at = 0; at < bytes.length; at += 16) expect(window.objectsWith(bytes, at).map((found) => found.object)).deep.equal([object]);
    for (let other = 0; other < 1000; other++) expect(window.objectsWith(random.bytes(16))).deep.equal([]);
  });

  it("of two objects with a record name both, the one in the bucket first, whichever came first", () => {
    const bytes = random.bytes(16);
    for (const order of [[true, false], [false, true]]) {
      const window = new WindowMatches();
      for (const [ordinal, isUploaded] of order.entries()) window.add(objectOf(ordinal, { isUploaded }), bytes);
      window.add(objectOf(0, { isUploaded: order[0]! }), bytes); // again
      window.add(objectOf(2), random.bytes(16 * 500)); // it grows
      expect(window.objectsWith(bytes).map(({ object }) => object.isUploaded)).deep.equal([true, false]);
    }
  });

  it("an object that was uploaded, renamed or forgotten meanwhile is that from then on", () => {
    const window = new WindowMatches();
    const bytes = random.bytes(32);
    const waiting = window.add(objectOf(0, { isUploaded: false }), bytes);
    waiting.kept.add("x");
    expect(window.add(objectOf(0), bytes)).equal(waiting);
    expect([waiting.object.isUploaded, waiting.kept.size, window.objectsWith(bytes, 16)]).deep.equal([true, 0, [waiting]]);
    window.rename(objectOf(0).key, objectOf(5));
    expect([window.of(objectOf(0).key), window.of(objectOf(5).key)]).deep.equal([undefined, waiting]);
    window.forget(objectOf(5).key);
    expect([window.of(objectOf(5).key), window.objectsWith(bytes)]).deep.equal([undefined, []]);
    const again = window.add(objectOf(6), bytes);
    expect(window.objectsWith(bytes)).deep.equal([again]);
  });
});

describe("match memory", () => {
  it("at the bound the window used longest ago is forgotten", () => {
    const memory = new MatchMemory({ bytesMax: 70_000 });
    const objects = [0, 1, 2, 3].map((hour) => objectOf(0, { windowStartMs: hour * 3_600_000 }));
    for (const object of objects.slice(0, 3)) memory.add(object, random.bytes(16 * 1500)); // some 17 kB each
    memory.find("a", 0);
    memory.add(objects[3]!, random.bytes(16 * 3000));
    expect(objects.map((object) => memory.of(object) !== undefined)).deep.equal([true, false, false, true]);
    expect(memory.bytes).most(70_000);
  });

  it("a window with as many objects as may be is begun anew", () => {
    const memory = new MatchMemory({ bytesMax: 2 ** 30 });
    const nothing = new Uint8Array(0);
    for (let ordinal = 0; ordinal < WINDOW_OBJECTS_MAX; ordinal++) memory.add(objectOf(ordinal), nothing);
    expect(memory.of(objectOf(0))).not.equal(undefined);
    memory.add(objectOf(WINDOW_OBJECTS_MAX), nothing);
    expect([memory.of(objectOf(0)), memory.of(objectOf(WINDOW_OBJECTS_MAX)) !== undefined]).deep.equal([undefined, true]);
  });
});
