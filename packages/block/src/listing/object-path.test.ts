import { WINDOW_MS, windowStartOf } from "@pyromesh/profile";
import { parseTenantId } from "@pyromesh/base";
import { assert } from "chai";
import fc from "fast-check";
import { checkKey } from "../bucket/bucket.ts";
import { blockKey, markKey, parseObjectKey, parseWindow, segmentKey, tenantPrefix, windowPrefix } from "./object-path.ts";

const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const SEGMENT = { tenant: parseTenantId("anonymous"), windowStartMs: START_MS, minTimeMs: START_MS, maxTimeMs: START_MS + 59_999, storeId: STORE, ordinal: 7 };
const KEY = `v1/anonymous/20260302T14/L0-1772460000000-1772460059999-${STORE}-0000000007.seg`;

const tenant = fc.stringMatching(/^[A-Za-z0-9!_.*'()-]{1,150}$/).filter((text) => text !== "." && text !== "..").map(parseTenantId);
const common = fc
  .record({ tenant, windowStartMs: fc.integer({ min: 0, max: 8000 * 8766 }).map((hour) => hour * WINDOW_MS), a: fc.nat(WINDOW_MS - 1), b: fc.nat(WINDOW_MS - 1) })
  .map(({ a, b, ...rest }) => ({ ...rest, minTimeMs: rest.windowStartMs + Math.min(a, b), maxTimeMs: rest.windowStartMs + Math.max(a, b) }));
const hex = (length: number): fc.Arbitrary<string> => fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });

describe("object names", () => {
  it("a segment's name reads as documented", () => {
    assert.equal(segmentKey(SEGMENT), KEY);
    assert.deepEqual(parseObjectKey(KEY), { kind: "segment", level: 0, ...SEGMENT });
  });

  it("a mark's name is that of the segment whose place it takes, but for its ending", () => {
    for (const mark of ["void", "lost", "forgotten"] as const) {
      const key = markKey({ ...SEGMENT, mark });
      assert.equal(key, KEY.replace(/seg$/, mark));
      assert.deepEqual(parseObjectKey(key), { kind: "mark", mark, level: 0, ...SEGMENT });
    }
  });

  it("what a name is made of comes back from it, for segments, marks and blocks", () => {
    fc.assert(
      fc.property(common, hex(32), fc.nat(2 ** 31 - 1), fc.integer({ min: 1, max: 99 }), fc.constantFrom("void", "lost", "forgotten"), (meta, id, ordinal, level, mark) => {
        const segment = segmentKey({ ...meta, storeId: id, ordinal });
        checkKey(segment);
        assert.deepEqual(parseObjectKey(segment), { kind: "segment", level: 0, ...meta, storeId: id, ordinal });
        const marked = markKey({ ...meta, storeId: id, ordinal, mark });
        checkKey(marked);
        assert.deepEqual(parseObjectKey(marked), { kind: "mark", mark, level: 0, ...meta, storeId: id, ordinal });
        const block = blockKey({ ...meta, level, blockId: id });
        checkKey(block);
        assert.deepEqual(parseObjectKey(block), { kind: "block", ...meta, level, blockId: id });
        assert.isTrue(segment.startsWith(windowPrefix(meta.tenant, meta.windowStartMs)));
        assert.isTrue(segment.startsWith(tenantPrefix(meta.tenant)));
      }),
    );
  });

  it("one character changed never gives the same meaning", () => {
    const parsed = JSON.stringify(parseObjectKey(KEY));
    for (let at = 0; at < KEY.length; at++) {
      for (const char of "0aA/.-_9T ") {
        const changed = KEY.slice(0, at) + char + KEY.slice(at + 1);
        if (changed !== KEY) assert.notEqual(JSON.stringify(parseObjectKey(changed)), parsed, changed);
      }
    }
  });

  it("what is not made here is foreign", () => {
    for (const key of [
      "",
      "v1/",
      "v2" + KEY.slice(2),
      KEY.toUpperCase(),
      KEY + ".tmp",
      "x/" + KEY,
      KEY.replace("L0-", "L1-"),
      KEY.replace(".seg", ".gone"),
      KEY.replace("L0-", "L1-").replace(".seg", ".void"),
      KEY.replace("0000000007", "7"),
      KEY.replace("0000000007", "00000000007"),
      KEY.replace("20260302T14", "20260302T15"),
      KEY.replace("20260302T14", "20261302T14"),
      KEY.replace("1772460059999", "1772463600000"),
      KEY.replace("1772460059999", "1772459999999"),
      KEY.replace("anonymous", ".."),
      KEY.replace("anonymous", "a b"),
      KEY.replace("anonymous", "x".repeat(151)),
      `v1/anonymous/20260302T14/L0-1772460000000-1772460059999-${STORE}.blk`,
      `v1/anonymous/20260302T14/L01-1772460000000-1772460059999-${STORE}.blk`,
    ]) {
      assert.isUndefined(parseObjectKey(key), key);
    }
  });

  it("only what makes the same name again is parsed", () => {
    const remade = (key: string): string | undefined => {
      const parsed = parseObjectKey(key);
      if (parsed === undefined) return undefined;
      return parsed.kind === "segment" ? segmentKey(parsed) : parsed.kind === "mark" ? markKey(parsed) : blockKey(parsed);
    };
    const digits = fc.string({ unit: fc.constantFrom("0", "0", "1", "7", "9"), minLength: 9, maxLength: 17 });
    const startMs = fc.constantFrom("20260302T14", "19700101T00", "00000000T00", "20260230T14", "20260302T24", "99991231T23");
    const times = fc.oneof(digits, fc.constantFrom("1772460000000", "01772460000000", "1772463599999", "1772463600000", "0000000000000", "00000000000000"));
    fc.assert(
      fc.property(startMs, fc.constantFrom("0", "1", "00", "01", "10", "99"), times, times, digits, fc.constantFrom("seg", "void", "lost", "forgotten"), hex(17), (window, level, min, max, ordinal, ending, id) => {
        for (const rest of [`${STORE}-${ordinal}.${ending}`, `${id.slice(0, 16)}.blk`, `${id}.blk`]) {
          const key = `v1/a/${window}/L${level}-${min}-${max}-${rest}`;
          if (parseObjectKey(key) !== undefined) assert.equal(remade(key), key);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("a window is read as it is printed, and nothing else is one", () => {
    assert.equal(parseWindow("20260302T14"), START_MS);
    for (const text of ["20260302T24", "20260230T00", "2026030T14", "20260302T14Z", "00500101T00", "19691231T23"]) assert.isUndefined(parseWindow(text), text);
  });

  it("random text is foreign, and never an exception", () => {
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => parseObjectKey(text) === undefined));
  });

  it("what only a bug of ours could name is not named", () => {
    assert.throws(() => segmentKey({ ...SEGMENT, storeId: "ABC" }), "store id");
    assert.throws(() => segmentKey({ ...SEGMENT, ordinal: -1 }), "ordinal");
    assert.throws(() => markKey({ ...SEGMENT, mark: "lost", ordinal: 0.5 }), "ordinal");
    assert.throws(() => segmentKey({ ...SEGMENT, maxTimeMs: START_MS + WINDOW_MS }), "window");
    assert.throws(() => segmentKey({ ...SEGMENT, windowStartMs: START_MS - 1 }), "window");
    assert.throws(() => blockKey({ ...SEGMENT, level: 0, blockId: STORE }), "level");
  });

  it("windows are aligned hours", () => {
    assert.equal(windowStartOf(START_MS), START_MS);
    assert.equal(windowStartOf(START_MS + WINDOW_MS - 1), START_MS);
    assert.equal(windowStartOf(START_MS + WINDOW_MS), START_MS + WINDOW_MS);
  });

  it("names of one window sort by time", () => {
    const keys = [3, 1, 2].map((n) => segmentKey({ ...SEGMENT, minTimeMs: START_MS + n * 1000, ordinal: 9 - n }));
    assert.deepEqual(keys.toSorted().map((key) => parseObjectKey(key)?.minTimeMs), [1, 2, 3].map((n) => START_MS + n * 1000));
  });
});
