import { seededRandom } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { expect } from "chai";
import { KnownIdentities } from "./known-identities.ts";
import { ObjectIdentities } from "./object-identities.ts";
import { toldSegment } from "./told-segment.ts";

const random = seededRandom(5);

export function objectOf(ordinal: number, bytes: Uint8Array): ObjectIdentities {
  const named = { tenant: "a" as TenantId, windowStartMs: 0, level: 0, minTimeMs: 0, maxTimeMs: 1, storeId: "0f".repeat(16), ordinal } as const; // a tenant id that the API would take
  return new ObjectIdentities(toldSegment(named, { sizeBytes: 100, isUploaded: true }), bytes);
}

describe("identities of an object", () => {
  it("all of its own are found, at any offset, and no other", () => {
    for (const count of [0, 1, 7, 8, 9, 1000]) {
      const bytes = random.bytes(count * 16);
      const identities = objectOf(0, bytes);
      expect(identities.count).equal(count);
      for (let index = 0; index < count; index++) expect(identities.has(bytes, index * 16)).equal(true);
      for (let other = 0; other < 200; other++) expect(identities.has(random.bytes(16))).equal(false);
      expect([...identities.each()].map((one) => Buffer.from(one).toString("hex")).join("")).equal(Buffer.from(bytes).toString("hex"));
    }
  });

  it("one that an object holds twice is there once, and the table does not fill up", () => {
    const one = random.bytes(16);
    const identities = objectOf(0, Uint8Array.from(Buffer.concat(Array.from({ length: 100 }, () => one))));
    expect([identities.has(one), identities.has(random.bytes(16))]).deep.equal([true, false]);
  });
});

describe("known identities", () => {
  it("at the bound the object used longest ago is forgotten", () => {
    const objects = [0, 1, 2, 3].map((ordinal) => objectOf(ordinal, random.bytes(160)));
    const known = new KnownIdentities({ bytesMax: 3 * objects[0]!.sizeBytes });
    for (const object of objects.slice(0, 3)) known.add(object);
    expect(known.of(objects[0]!.object.key)).equal(objects[0]);
    known.add(objects[3]!);
    expect(objects.map(({ object }) => known.of(object.key) !== undefined)).deep.equal([true, false, true, true]);
    known.add(objectOf(0, random.bytes(16)));
    expect(known.bytes).lessThan(3 * objects[0]!.sizeBytes);
    for (const { object } of objects) known.forget(object.key);
    expect(known.bytes).equal(0);
  });

  it("an object larger than the bound is forgotten at once", () => {
    const known = new KnownIdentities({ bytesMax: 100 });
    known.add(objectOf(0, random.bytes(160)));
    expect(known.bytes).equal(0);
  });
});
