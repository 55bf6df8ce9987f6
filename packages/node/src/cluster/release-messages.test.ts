/** The messages of flush and release, and of what a store remembers of others: announce, status, flush, health, progress. */
import { createHash } from "node:crypto";
import { CodedError, parseTenantId, seededRandom } from "@pyromesh/base";
import type { HeardObject } from "@pyromesh/block";
import { expect } from "chai";
import { ANNOUNCED_COUNT_MAX, openAnnouncement, packAnnouncement } from "./announce-message.ts";
import { openFlushAnswer, openFlushRequest, packFlushAnswer, packFlushRequest } from "./flush-message.ts";
import { openHealth, packHealth } from "./health-message.ts";
import { packMessage } from "./message.ts";
import { openProgress, openProgressAnswer, packProgress, packProgressAnswer } from "./progress-message.ts";
import { openStatusAnswer, openStatusRequest, packStatusAnswer, packStatusRequest, STATUS_COUNT_MAX } from "./status-message.ts";
import type { RecordStatus } from "./status-message.ts";

const TENANT = parseTenantId("shop");
const STORE = "0a".repeat(16);
const WINDOW_MS = 1_699_999_200_000;
const random = seededRandom(3);

function segment(ordinal: number): HeardObject {
  const meta = { tenant: TENANT, windowStartMs: WINDOW_MS, windowMs: 3_600_000, level: 0, storeId: STORE, ordinal, minTimeMs: WINDOW_MS + 1, maxTimeMs: WINDOW_MS + 9, recordCount: 0, sources: [{ storeId: STORE, firstOrdinal: ordinal, lastOrdinal: ordinal }] };
  return { key: `v1/shop/20231114T22/L0-${WINDOW_MS + 1}-${WINDOW_MS + 9}-${STORE}-${String(ordinal).padStart(10, "0")}.seg`, sizeBytes: 1000 + ordinal, isUploaded: ordinal % 2 === 0, meta };
}

const windows = [
  { tenant: TENANT, windowStartMs: WINDOW_MS, identities: random.bytes(48) },
  { tenant: TENANT, windowStartMs: WINDOW_MS + 3_600_000, identities: random.bytes(16) },
];
const statuses: readonly RecordStatus[] = [{ kind: "unknown" }, { kind: "held" }, { kind: "segment", segment: segment(1) }, { kind: "buffered" }, { kind: "segment", segment: segment(2) }, { kind: "segment", segment: segment(1) }];
const health = { storeId: STORE, isWritable: true, isInContact: false, replicationSetting: 5, isReplicationRising: true, ownRecords: 3, keptRecords: 70_000, thinRecords: 1, backlogSegments: 2, backlogBytes: 5_000_000_000, backlogReason: "503", takeovers: 4, lastRefusals: ["12:00:00 /ingest 503 head_full"], lostStores: ["0b".repeat(16)], wallMs: undefined };

/** `golden`: the hash of the bytes of protocol 1. */
const MESSAGES: readonly { readonly name: string; readonly bytes: Uint8Array; readonly open: (bytes: Uint8Array) => unknown; readonly golden: string }[] = [
  { name: "announcement", bytes: packAnnouncement([segment(1), segment(2)]), open: openAnnouncement, golden: "dd2b7eb7f3269db24533a0cd06d38707" },
  { name: "status request", bytes: packStatusRequest({ windows }), open: openStatusRequest, golden: "2267863ba96ee087cbb5d3ec4eaa63c7" },
  { name: "status answer", bytes: packStatusAnswer({ storeId: STORE, statuses }), open: (bytes) => openStatusAnswer(bytes, statuses.length), golden: "89c9aff002723298fa22fe97c468d0f4" },
  { name: "flush request", bytes: packFlushRequest({ timeoutMs: 30_000 }), open: openFlushRequest, golden: "2e5e4e944c2638f5afb0b7169dcfd89b" },
  { name: "flush answer", bytes: packFlushAnswer({ segmentCount: 3, bytes: 4096 }), open: openFlushAnswer, golden: "bf796c7aa934240e611e9708f07b46e0" },
  { name: "health answer", bytes: packHealth(health), open: openHealth, golden: "ae4b97eef0d4b24910ef9f57e1f4dbbd" },
  { name: "progress request", bytes: packProgress(70_000), open: openProgress, golden: "d50f264fedc52c06843f1b24906255cd" },
  { name: "progress answer", bytes: packProgressAnswer(2 ** 40), open: openProgressAnswer, golden: "45e41db51147d7406eb64e848c894241" },
];

function codeOf(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
  return "opened";
}

describe("messages of flush and release", () => {
  it("say what was put into them", () => {
    expect(openAnnouncement(packAnnouncement([segment(1), segment(2)]))).deep.equal([segment(1), segment(2)]);
    const request = openStatusRequest(packStatusRequest({ windows }));
    expect(request.windows.map(({ identities, ...window }) => ({ ...window, identities: Uint8Array.from(identities) }))).deep.equal(windows);
    expect(openStatusAnswer(packStatusAnswer({ storeId: STORE, statuses }), statuses.length)).deep.equal({ storeId: STORE, statuses });
    expect(openFlushRequest(packFlushRequest({ timeoutMs: 30_000 }))).deep.equal({ timeoutMs: 30_000 });
    expect(openFlushAnswer(packFlushAnswer({ segmentCount: 3, bytes: 4096 }))).deep.equal({ segmentCount: 3, bytes: 4096 });
    expect(openHealth(packHealth(health))).deep.equal(health);
  });

  // A rolling upgrade waits for the health of the cluster after each member.
  it("the health of a member of an earlier build, which does not say its replication, is read", () => {
    const { replicationSetting: _, isReplicationRising: __, ...earlier } = health;
    expect(openHealth(packMessage(earlier))).deep.equal({ ...earlier, replicationSetting: undefined, isReplicationRising: false });
  });

  it("the health of a member says what time it is there, behind what an earlier build says", () => {
    const bytes = packHealth({ ...health, wallMs: 1_700_000_000_000 });
    expect(openHealth(bytes)).deep.equal({ ...health, wallMs: 1_700_000_000_000 });
    expect(codeOf(() => openHealth(packMessage({ ...health, wallMs: "noon" })))).equal("PEER_MALFORMED");
  });

  it("a status answer names each segment once, and has a status for each record that was asked for", () => {
    const bytes = packStatusAnswer({ storeId: STORE, statuses });
    expect(Buffer.from(bytes).toString("latin1").split(segment(1).key)).length(2);
    expect(codeOf(() => openStatusAnswer(bytes, statuses.length - 1))).equal("PEER_MALFORMED");
  });

  it("longer than they may be, they are refused", () => {
    expect(codeOf(() => openStatusRequest(packStatusRequest({ windows: [{ ...windows[0]!, identities: random.bytes(16 * STATUS_COUNT_MAX) }, windows[1]!] })))).equal("PEER_MALFORMED");
    expect(codeOf(() => openAnnouncement(packAnnouncement(Array.from({ length: ANNOUNCED_COUNT_MAX + 1 }, (_, ordinal) => segment(ordinal)))))).equal("PEER_MALFORMED");
    expect(codeOf(() => openFlushRequest(packFlushRequest({ timeoutMs: 1e9 })))).equal("PEER_MALFORMED");
  });

  for (const { name, bytes, open, golden } of MESSAGES) {
    it(`${name}: has the bytes of protocol 1`, () => expect(createHash("sha256").update(bytes).digest("hex").slice(0, 32)).equal(golden));

    it(`${name}: cut anywhere it is refused as malformed, and with bytes changed it is refused or means something else`, () => {
      for (let length = 0; length < bytes.length; length++) expect(codeOf(() => open(bytes.subarray(0, length))), `${length} bytes`).equal("PEER_MALFORMED");
      for (let run = 0; run < 500; run++) {
        const noisy = Uint8Array.from(bytes);
        for (let count = 0; count <= run % 4; count++) noisy[Math.floor(random.float() * noisy.length)] = Math.floor(random.float() * 256);
        expect(codeOf(() => open(noisy))).oneOf(["PEER_MALFORMED", "opened"]);
        expect(codeOf(() => open(random.bytes(run % 64)))).oneOf(["PEER_MALFORMED", "opened"]);
      }
    });
  }
});
