import { CorruptionError, seededRandom } from "@pyromesh/base";
import { LabelListing, NameTreeBuilder } from "@pyromesh/profile";
import type { Int64, LocationTree, NameTree } from "@pyromesh/profile";
import { expect } from "chai";
import fc from "fast-check";
import { readFileSync, mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ScanPartial } from "./compute.ts";
import { finishQuery } from "./finish-query.ts";
import { mergePartials } from "./merge-partials.ts";
import { encodeForPeer, packedFromPeer, unpackPartial } from "./packed-partial.ts";
import { checkPeerPartial, decodePartial, encodePartial, PARTIAL_FLAG_CHECKSUM, PARTIAL_HAS, PARTIAL_HEADER_BYTES, PARTIAL_MAGIC, PARTIAL_VERSION, readCounts, withChecksum } from "./partial-format.ts";
import { partialOf, rowsOf, SCAN_SPECS } from "../testing/scan-fixtures.ts";

const GOLDEN = fileURLToPath(new URL("../../testdata/partials-v1/", import.meta.url));
const PAGE = fileURLToPath(new URL("../../PARTIALS.md", import.meta.url));

/** A mapping, an inlined frame, an address above 32 bits, lines below 0. */
function withRealFrames({ tree, self, symbols }: LocationTree): LocationTree {
  const { stringCount, locationCount } = symbols;
  return {
    tree,
    self,
    symbols: {
      ...symbols,
      mappingCount: 2,
      mappingStart: BigUint64Array.of(0n, 0x5555_5555_4000n),
      mappingLimit: BigUint64Array.of(0n, 2n ** 64n - 1n),
      mappingFileOffset: BigUint64Array.of(0n, 0x1000n),
      mappingFilename: Uint32Array.of(0, stringCount - 1),
      mappingBuildId: Uint32Array.of(0, 1),
      mappingFlags: Uint8Array.of(0, 0b1111),
      locationMapping: new Uint32Array(locationCount).fill(1, 1),
      locationAddressHigh: new Uint32Array(locationCount).fill(0xffff_ffff, 1),
      locationFlags: new Uint8Array(locationCount).fill(1, 1),
      lineNumber: Float64Array.from(symbols.lineNumber, (line) => -line),
      functionStartLine: Float64Array.from(symbols.functionStartLine, (line) => line - 2 ** 60),
    },
  };
}

function fixtures(): Readonly<Record<string, ScanPartial>> {
  const rows = rowsOf([0, 1, 2, 3, 4, 5, 6, 7]);
  const of = Object.fromEntries(Object.entries(SCAN_SPECS).map(([kind, spec]) => [kind, partialOf(spec, [rows])]));
  const wide = new NameTreeBuilder();
  wide.addStacktrace(["main", "huge"], 2n ** 63n - 1n);
  wide.addStacktrace(["main", "huge"], 2n ** 63n - 1n);
  wide.addStacktrace(["main"], 5);
  return {
    ...of,
    locations: { ...of["locations"]!, locations: withRealFrames(of["locations"]!.locations!) },
    empty: partialOf(SCAN_SPECS["names"]!, []),
    wide: { ...of["points"]!, period: -1n, names: wide.result(), durations: { ownNs: -(2n ** 70n), profiles: { ...of["points"]!.points[0]!.profiles, values: of["points"]!.points[0]!.profiles.values.map((value) => BigInt(value) - 2n ** 64n) } } },
  };
}

/** The same, as counts say: columns may be longer. */
function exact({ names, locations, ...rest }: ScanPartial): ScanPartial {
  return structuredClone({ ...rest, names: names === undefined ? undefined : exactNames(names), locations: locations === undefined ? undefined : exactLocations(locations) });
}

function exactNames({ nodeCount, nodeParent, nodeName, self, names }: NameTree): NameTree {
  return { nodeCount, nodeParent: nodeParent.slice(0, nodeCount), nodeName: nodeName.slice(0, nodeCount), self: exactSums(self, nodeCount), names };
}

function exactSums({ low, high }: NameTree["self"], count: number): NameTree["self"] {
  return { low: low.slice(0, count), high: high?.slice(0, count) };
}

function exactLocations({ tree, self, symbols }: LocationTree): LocationTree {
  const { nodeCount, nodeParent, nodeLocation } = tree;
  const lengths = { string: symbols.stringCount, mapping: symbols.mappingCount, function: symbols.functionCount, location: symbols.locationCount, line: symbols.lineCount };
  const columns = Object.entries(symbols).map(([name, column]: [string, unknown]) => {
    if (!ArrayBuffer.isView(column)) return [name, column];
    const kind = name === "lineStart" ? "location" : (Object.keys(lengths) as (keyof typeof lengths)[]).find((one) => name.startsWith(one))!;
    const length = name === "stringBytes" ? symbols.stringOffset[symbols.stringCount]! : name === "lineStart" || name === "stringOffset" ? lengths[kind] + 1 : lengths[kind];
    return [name, (column as Uint8Array).slice(0, length)];
  });
  return { tree: { nodeCount, nodeParent: nodeParent.slice(0, nodeCount), nodeLocation: nodeLocation.slice(0, nodeCount) }, self: exactSums(self, nodeCount), symbols: Object.fromEntries(columns) as LocationTree["symbols"] };
}

const corrupt = (work: () => unknown, message?: string): void => void expect(work, message).to.throw(CorruptionError);

/** All that a worker does with a partial, whatever it was made of. */
function use(partial: ScanPartial): void {
  for (const spec of Object.values(SCAN_SPECS)) mergePartials(spec, [partial, partial]);
}

describe("the bytes of a partial answer", () => {
  for (const [kind, partial] of Object.entries(fixtures())) {
    it(`${kind}: come out as they went in, also through a peer and from anywhere in a buffer`, () => {
      const bytes = encodePartial(partial);
      expect(decodePartial(bytes)).to.deep.equal(exact(partial));
      const { recordCount, identitySum, period } = partial;
      expect(readCounts(bytes)).to.deep.equal({ recordCount, identitySum, period });
      const aside = new Uint8Array(bytes.length + 3);
      aside.set(bytes, 3);
      expect(decodePartial(aside.subarray(3))).to.deep.equal(exact(partial));
      const arrived = packedFromPeer(encodeForPeer(partial));
      expect(arrived).to.include({ recordCount, identitySum, period });
      expect(unpackPartial(arrived)).to.deep.equal(exact(partial));
    });

    it(`${kind}: are those of version 1, and a file of version 1 is read`, () => {
      const file = `${GOLDEN}${kind}.bin`;
      if (process.env["PYROMESH_WRITE_GOLDEN"] === "1") { // set it once, for a new version, under a new name
        mkdirSync(GOLDEN, { recursive: true });
        writeFileSync(file, encodeForPeer(partial));
      }
      const bytes = readFileSync(file);
      checkPeerPartial(bytes);
      expect(decodePartial(bytes)).to.deep.equal(exact(partial));
      expect(Buffer.from(encodeForPeer(partial)).toString("hex")).to.equal(bytes.toString("hex"));
    });

    it(`${kind}: cut short at any byte, or with a byte more, they are corrupt`, () => {
      const bytes = encodePartial(partial);
      for (let length = 0; length < bytes.length; length++) corrupt(() => decodePartial(bytes.slice(0, length)), `${length} bytes`);
      corrupt(() => decodePartial(Uint8Array.of(...bytes, 0)));
      // Also where the length is what it should be.
      for (let length = PARTIAL_HEADER_BYTES; length < bytes.length; length++) {
        const cut = bytes.slice(0, length);
        new DataView(cut.buffer).setUint32(12, length, true);
        corrupt(() => decodePartial(cut), `${length} bytes that say so`);
      }
    });

    it(`${kind}: with any byte changed a peer's are refused before they are opened`, () => {
      const bytes = encodeForPeer(partial);
      for (let at = 0; at < bytes.length; at++) {
        const changed = bytes.slice();
        changed[at]! ^= 1 << at % 8;
        corrupt(() => packedFromPeer(changed), `byte ${at}`);
      }
      corrupt(() => packedFromPeer(encodePartial(partial)), "no checksum");
    });

    it(`${kind}: of noise under a right checksum something is read or it is corrupt, and nothing else happens`, () => {
      const random = seededRandom(5);
      const bytes = encodePartial(partial);
      const before = process.memoryUsage().arrayBuffers;
      for (let round = 0; round < 2000; round++) {
        const changed = bytes.slice();
        for (let flips = 0; flips <= round % 4; flips++) {
          const at = PARTIAL_HEADER_BYTES + Math.floor(random.float() ** (round % 3 === 0 ? 1 : 3) * (bytes.length - PARTIAL_HEADER_BYTES));
          changed[at] = round % 2 === 0 ? Math.floor(random.float() * 256) : 0xff;
        }
        const sent = withChecksum(changed);
        try {
          use(unpackPartial(packedFromPeer(sent)));
        } catch (error) {
          expect(error).to.be.instanceOf(CorruptionError);
        }
      }
      expect(process.memoryUsage().arrayBuffers - before, "no claim is believed").to.be.below(2 ** 28);
    });
  }

  it("texts of any kind, and sums up to 2^84, come out as they went in", () => {
    const text = fc.oneof(fc.string({ unit: "binary", maxLength: 8 }), fc.constantFrom("", "\u{feff}", "\u{feff}main", "a".repeat(5000), "é".repeat(3000)));
    const value = fc.oneof(fc.nat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 78n }));
    const stacktrace = fc.tuple(fc.array(text, { maxLength: 5 }), value);
    fc.assert(
      fc.property(fc.array(stacktrace, { maxLength: 40 }), (stacktraces: readonly (readonly [readonly string[], Int64])[]) => {
        const builder = new NameTreeBuilder();
        for (const [names, sum] of stacktraces) builder.addStacktrace(names, sum);
        const partial: ScanPartial = { ...partialOf(SCAN_SPECS["names"]!, []), names: builder.result() };
        expect(decodePartial(encodePartial(partial))).to.deep.equal(exact(partial));
      }),
      { numRuns: 200 },
    );
  });

  it("a merge and an answer are the same of partials that travelled", () => {
    for (const [kind, spec] of Object.entries(SCAN_SPECS)) {
      const parts = [[0, 1, 2], [3, 4], [5, 6, 7]].map((numbers) => partialOf(spec, [rowsOf(numbers)]));
      const travelled = parts.map((part) => decodePartial(encodePartial(part)));
      expect(exact(mergePartials(spec, travelled)), kind).to.deep.equal(exact(mergePartials(spec, parts)));
    }
    const spec = { kind: "flame-graph", maxNodes: 100, form: "json" } as const;
    const names = partialOf(SCAN_SPECS["names"]!, [rowsOf([0, 1, 2])]);
    expect(finishQuery(spec, [decodePartial(encodePartial(names))])).to.deep.equal(finishQuery(spec, [names]));
  });

  it("another listing under the bytes of a listing is corrupt when it is merged, or read as what it can be", () => {
    const pods = new LabelListing({ kind: "values", name: "pod" }, { entryCountMax: 0, bytesMax: 0 });
    pods.addLabels([{ name: "pod", value: "a" }]);
    const partial: ScanPartial = { ...partialOf(SCAN_SPECS["listing"]!, []), listing: pods.partial() };
    corrupt(() => mergePartials(SCAN_SPECS["listing"]!, [decodePartial(encodePartial(partial))]));
  });

  it("PARTIALS.md gives the constants of the code, and the dump of the smallest file", () => {
    const page = readFileSync(PAGE, "utf8");
    const constants = Object.fromEntries([...page.matchAll(/^\| `([A-Z_]+)` \| `([^`]+)` \|/gm)].map((match) => [match[1]!, match[2]!]));
    expect(constants).to.deep.equal({
      PARTIAL_MAGIC: `0x${PARTIAL_MAGIC.toString(16)}`,
      PARTIAL_VERSION: String(PARTIAL_VERSION),
      PARTIAL_HEADER_BYTES: String(PARTIAL_HEADER_BYTES),
      PARTIAL_FLAG_CHECKSUM: String(PARTIAL_FLAG_CHECKSUM),
    });
    const contents = Object.fromEntries([...page.matchAll(/^\| (\d+) \| contents `(\w+)` \|/gm)].map((match) => [match[2]!, Number(match[1])]));
    expect(contents).to.deep.equal({ ...PARTIAL_HAS });
    const dump = [...page.matchAll(/^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} )+)/gm)].map((match) => match[2]!.replaceAll(" ", "")).join("");
    expect(dump).to.equal(readFileSync(`${GOLDEN}empty.bin`).toString("hex"));
  });
});
