import { readFile } from "node:fs/promises";
import { expect } from "chai";
import fc from "fast-check";
import { compareBytes } from "@pyromesh/base";
import { commitKey, cutKey, formerOrdinalKey, KEY_PREFIXES, META_BUCKET, META_NOTES, META_ORDINAL_FLOOR, META_RETIRED, META_STORE, META_TRIAL, ordinalKey, parseKey, printKey, quarantinedKey, recordKey, sealedKey } from "./keys.ts";

describe("keys", () => {
  it("numbers sort as bytes, over all of 2^53", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => Math.sign(compareBytes(recordKey(a), recordKey(b))) === Math.sign(a - b)),
    );
  });

  it("a key read back says what it was made of", () => {
    const windows = [-7_200_000, 0, 3_600_000, 1_700_000_000_000];
    for (const number of [0, 1, 255, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      expect(parseKey(recordKey(number))).deep.equal({ kind: "record", number });
      expect(parseKey(commitKey(number))).deep.equal({ kind: "commit", number });
      expect(parseKey(cutKey(number))).deep.equal({ kind: "cut", number });
      expect(parseKey(quarantinedKey(number))).deep.equal({ kind: "quarantined", number });
    }
    for (const windowStartMs of windows) expect(parseKey(ordinalKey("team", windowStartMs))).deep.equal({ kind: "ordinal", tenant: "team", windowStartMs });
    const storeId = "0f".repeat(16);
    for (const windowStartMs of windows) expect(parseKey(formerOrdinalKey(storeId, "team", windowStartMs))).deep.equal({ kind: "formerOrdinal", storeId, tenant: "team", windowStartMs });
    expect(parseKey(ordinalKey(`${storeId}/team`, 0)), "another prefix").deep.equal({ kind: "ordinal", tenant: `${storeId}/team`, windowStartMs: 0 });
    expect([...windows].sort((a, b) => compareBytes(ordinalKey("t", a), ordinalKey("t", b)))).deep.equal(windows);
    expect(parseKey(sealedKey("a/b"))).deep.equal({ kind: "sealed", text: "a/b" });
  });

  it("noise is no key, or one that prints", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        parseKey(bytes);
        printKey(bytes);
      }),
    );
    for (const bytes of [[], [0x72], [0x72, 0x2f], [0x78, 0x2f, 1], [0x72, 0x2f, 1, 2, 3]]) expect(parseKey(Uint8Array.from(bytes))).equal(undefined);
    expect(parseKey(Uint8Array.of(0x72, 0x2f, 255, 255, 255, 255, 255, 255, 255, 255))).equal(undefined);
  });

  it("KEYS.md names every prefix and every meta key, and no other", async () => {
    const page = await readFile(new URL("../../KEYS.md", import.meta.url), "utf8");
    const rows = [...page.matchAll(/^\| `([a-z]\/[a-z-]*)/gm)].map((match) => match[1]!);
    const metas = [META_STORE, META_RETIRED, META_ORDINAL_FLOOR, META_BUCKET, META_NOTES, META_TRIAL].map((key) => Buffer.from(key).toString());
    const { meta: _, ...others } = KEY_PREFIXES;
    expect(rows.sort()).deep.equal([...Object.values(others), ...metas].sort());
  });
});
