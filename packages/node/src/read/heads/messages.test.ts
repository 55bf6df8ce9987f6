import { createHash } from "node:crypto";
import { CodedError, parseTenantId, seededRandom } from "@pyromesh/base";
import { segmentKey, SourceSet } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";
import { expect } from "chai";
import { SCAN_SPECS } from "../../testing/scan-fixtures.ts";
import { openMessage } from "../../cluster/message.ts";
import { toldSegment } from "../../background/told-segment.ts";
import {
  openDigestAnswer,
  openDigestRequest,
  openIdentitiesRequest,
  openIdentityLists,
  openReleaseRequest,
  openScanRequest,
  openSealedRequest,
  packDigestAnswer,
  packDigestRequest,
  packIdentitiesRequest,
  packIdentityLists,
  packReleaseRequest,
  packScanRequest,
  packSealedRequest,
} from "./messages.ts";
import { PlannedObjects } from "./planned-objects.ts";

const TENANT = parseTenantId("shop");
const OTHER = parseTenantId("other");
const STORES = ["0a".repeat(16), "ff".repeat(16)] as const;
const VIEW = "0123456789abcdef";
const windowStartMs = 470_000 * WINDOW_MS;
const SEGMENT = { tenant: TENANT, windowStartMs, level: 0, minTimeMs: windowStartMs + 5, maxTimeMs: windowStartMs + 9, storeId: STORES[0], ordinal: 7 } as const;
const KEY = segmentKey(SEGMENT);
const told = toldSegment(SEGMENT, { sizeBytes: 1234, isUploaded: false });

const planned = new PlannedObjects([
  { tenant: OTHER, windowStartMs, segments: new SourceSet([{ storeId: STORES[1], firstOrdinal: 0, lastOrdinal: 59 }, { storeId: STORES[0], firstOrdinal: 3, lastOrdinal: 3 }]), inBlocks: new SourceSet([]) },
  { tenant: TENANT, windowStartMs: windowStartMs + WINDOW_MS, segments: new SourceSet([]), inBlocks: new SourceSet([{ storeId: STORES[1], firstOrdinal: 0, lastOrdinal: 1000 }]) },
]);
const digestRequest = packDigestRequest({
  question: 17,
  wants: "records",
  tenants: [TENANT, OTHER],
  startMs: windowStartMs,
  endMs: windowStartMs + 2 * WINDOW_MS,
  services: [[{ name: "service_name", operator: "=~", value: "a.*" }], []],
  planned,
  objects: [{ key: KEY, sizeBytes: 99, place: `store:${STORES[0]}` }],
});
const digestAnswer = packDigestAnswer({
  question: 17,
  storeId: STORES[0],
  bootId: "boot",
  membersDigest: "12".repeat(16),
  remembersMs: 60_000,
  unknown: [{ tenant: TENANT, windowStartMs, storeId: STORES[1], ordinal: 4 }],
  nowhere: [],
  gone: [],
  viewId: VIEW,
  tenants: [{ tenant: TENANT, seriesCount: 2, fingerprints: new BigUint64Array([1n, 2n ** 64n - 1n]), counts: new Uint32Array([3, 1]), internedCounts: new Uint32Array([0, 1]), sums: new Uint32Array([1, 2, 3, 4, 5, 6, 7, 2 ** 32 - 1]) }],
  named: [told],
  quarantines: ["quarantine 1: a gap"],
  span: { oldestMs: windowStartMs + 5, newestMs: windowStartMs + 9 },
});
const NOWHERE_ANSWER = { question: 17, storeId: STORES[0], bootId: "boot", membersDigest: "12".repeat(16), remembersMs: 60_000, unknown: [], nowhere: [KEY], gone: [], viewId: undefined, tenants: [], named: [], quarantines: [], span: undefined };
const nowhereAnswer = packDigestAnswer(NOWHERE_ANSWER);
const GONE_ANSWER = { ...NOWHERE_ANSWER, nowhere: [], gone: [KEY] };
const goneAnswer = packDigestAnswer(GONE_ANSWER);
const identitiesRequest = packIdentitiesRequest({ viewId: VIEW, series: [{ tenant: TENANT, fingerprints: new BigUint64Array([5n, 6n]) }] });
const identityLists = packIdentityLists([{ tenant: TENANT, counts: new Uint32Array([1, 2]), identities: new Uint8Array(48).fill(9), interned: new Uint8Array([1, 0, 1]) }]);
const scanRequest = packScanRequest({ viewId: VIEW, spec: SCAN_SPECS["points"]!, floors: new Map([[TENANT, 5]]), takes: [{ tenant: TENANT, fingerprints: new BigUint64Array([7n]), identities: new Uint8Array(32).fill(1) }] });
const releaseRequest = packReleaseRequest(VIEW);
const sealedRequest = packSealedRequest({ key: KEY, offset: 5, lengthBytes: 4096 });

/** `golden`: the hash of the bytes of protocol 1. A message may get fields, which a reader of protocol 1 ignores; those that it has stay as they are. */
const MESSAGES: readonly { readonly name: string; readonly bytes: Uint8Array; readonly open: (bytes: Uint8Array) => unknown; readonly golden: string }[] = [
  { name: "digest request", bytes: digestRequest, open: openDigestRequest, golden: "6ec249952c518941869a136d32598914" },
  { name: "digest answer", bytes: digestAnswer, open: openDigestAnswer, golden: "56f4dbdeb8b306d6ded72d38d8a6a651" },
  { name: "digest answer that names what is nowhere", bytes: nowhereAnswer, open: openDigestAnswer, golden: "5306db25347b8e4fc6c366276ddf6c77" },
  { name: "digest answer that names what is gone", bytes: goneAnswer, open: openDigestAnswer, golden: "8d20de21d4bd97476695c8c09f3f2507" },
  { name: "identities request", bytes: identitiesRequest, open: openIdentitiesRequest, golden: "f0b121e3e033f14cfd859474a88dd3a1" },
  { name: "identity lists", bytes: identityLists, open: openIdentityLists, golden: "b38337b4551a82b487fe818890be40da" },
  { name: "scan request", bytes: scanRequest, open: openScanRequest, golden: "c88a94f9b61a77eea37c4aea900a709b" },
  { name: "release request", bytes: releaseRequest, open: openReleaseRequest, golden: "f730bbd04b192a596686aa73362371cb" },
  { name: "sealed request", bytes: sealedRequest, open: openSealedRequest, golden: "f84c666b9d1cc5f55965d08558ed08a9" },
];

function codeOf(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
  return "opened";
}

describe("messages of a query over several heads", () => {
  it("say what was put into them", () => {
    const request = openDigestRequest(digestRequest);
    expect({ ...request, planned: request.planned.windows.map(({ segments, inBlocks, ...window }) => ({ ...window, segments: segments.ranges(), inBlocks: inBlocks.ranges() })) }).deep.equal({
      question: 17,
      wants: "records",
      tenants: [TENANT, OTHER],
      startMs: windowStartMs,
      endMs: windowStartMs + 2 * WINDOW_MS,
      services: [[{ name: "service_name", operator: "=~", value: "a.*" }], []],
      planned: planned.windows.map(({ segments, inBlocks, ...window }) => ({ ...window, segments: segments.ranges(), inBlocks: inBlocks.ranges() })),
      objects: [{ key: KEY, sizeBytes: 99, place: `store:${STORES[0]}` }],
    });
    const answer = openDigestAnswer(digestAnswer);
    expect(answer.named).deep.equal([told]);
    expect([answer.viewId, answer.span, answer.unknown.length]).deep.equal([VIEW, { oldestMs: windowStartMs + 5, newestMs: windowStartMs + 9 }, 1]);
    expect(answer.tenants.map(({ fingerprints, counts, internedCounts, sums }) => [[...fingerprints], [...counts], [...internedCounts], [...sums]])).deep.equal([[[1n, 2n ** 64n - 1n], [3, 1], [0, 1], [1, 2, 3, 4, 5, 6, 7, 2 ** 32 - 1]]]);
    expect([answer.nowhere, answer.gone, openDigestAnswer(nowhereAnswer), openDigestAnswer(goneAnswer)]).deep.equal([[], [], NOWHERE_ANSWER, GONE_ANSWER]);
    const [list] = openIdentityLists(identityLists);
    expect([[...list!.counts], list!.identities.length, [...list!.interned]]).deep.equal([[1, 2], 48, [1, 0, 1]]);
    expect(openReleaseRequest(releaseRequest)).equal(VIEW);
    expect(openSealedRequest(sealedRequest)).deep.equal({ key: KEY, offset: 5, lengthBytes: 4096 });
  });

  it("an answer that names what is nowhere, or gone, lacks what a build that does not know these fields asks for: it is malformed there, and not that of a store that holds nothing", () => {
    for (const bytes of [nowhereAnswer, goneAnswer]) {
      const fields = openMessage(bytes, "a digest answer");
      expect([fields.has("unknown"), fields.has("tenants"), fields.has("named")]).deep.equal([true, false, false]);
    }
  });

  for (const [kind, spec] of Object.entries(SCAN_SPECS)) {
    it(`carry what is scanned for: ${kind}`, () => {
      const opened = openScanRequest(packScanRequest({ viewId: VIEW, spec, floors: new Map(), takes: undefined }));
      expect(opened.spec).deep.equal(spec);
      expect(opened.takes).equal(undefined);
    });
  }

  it("carry a range of all times, of which a record can have 64 bits", () => {
    const spec = { kind: "cardinality", startNs: -(2n ** 80n), endNs: 2n ** 80n, selectors: [] } as const;
    const opened = openScanRequest(packScanRequest({ viewId: VIEW, spec, floors: new Map(), takes: undefined })).spec;
    expect(opened).deep.equal({ ...spec, startNs: -(2n ** 63n), endNs: 2n ** 63n - 1n });
  });

  for (const { name, bytes, open, golden } of MESSAGES) {
    it(`${name}: has the bytes of protocol 1`, () => expect(createHash("sha256").update(bytes).digest("hex").slice(0, 32)).equal(golden));

    it(`${name}: cut anywhere, or with a field of another type, is refused as malformed`, () => {
      for (let length = 0; length < bytes.length; length++) expect(codeOf(() => open(bytes.subarray(0, length))), `${length} bytes`).equal("PEER_MALFORMED");
    });

    it(`${name}: with bytes changed, it is refused as malformed or means something else`, () => {
      const random = seededRandom(5);
      for (let run = 0; run < 500; run++) {
        const noisy = Uint8Array.from(bytes);
        for (let count = 0; count <= run % 4; count++) noisy[Math.floor(random.float() * noisy.length)] = Math.floor(random.float() * 256);
        expect(codeOf(() => open(noisy))).oneOf(["PEER_MALFORMED", "opened"]);
        expect(codeOf(() => open(random.bytes(run % 64)))).oneOf(["PEER_MALFORMED", "opened"]);
      }
    });
  }
});
