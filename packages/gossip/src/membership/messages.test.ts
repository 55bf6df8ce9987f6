import { readFileSync, writeFileSync } from "node:fs";
import { seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import type { Entry } from "../items/entry.ts";
import type { Loss } from "../items/losses.ts";
import { decodeMembershipMessage, encodeMembershipMessage, type MembershipMessage } from "./messages.ts";

const STORES = ["00".repeat(16), "11".repeat(16), "fe".repeat(16)];
const ENTRY: Entry = {
  name: "node-1",
  storeId: "0123456789abcdef0123456789abcdef",
  bootId: "fedcba9876543210",
  incarnation: 7,
  status: "alive",
  claimsFull: false,
  joins: 2,
  goneJoins: 1,
  acknowledgedBy: STORES,
  acksHeld: 2,
  clusterAddress: "10.0.0.1:7946",
  httpAddress: "10.0.0.1:4040",
  zone: "a",
  tokenCount: 128,
  protocolMin: 1,
  protocolMax: 1,
  formats: "010202020303",
  promises: "010203",
  build: "0.1.0",
};
const LOSS: Loss = { member: "node-2", storeId: STORES[1]!, incarnation: 2 ** 40, acksHeld: 2, wasFull: true, goneJoins: 0, isCleared: false, fencedBy: STORES.slice(0, 2), flushedBy: [] };
const NO_NUMBERS = new Uint32Array(0);

const MESSAGES: readonly MembershipMessage[] = [
  { kind: "probe", entry: ENTRY, heartbeat: 0x07_0001, digest: "00112233445566ff" },
  { kind: "ack", heartbeat: 0xff_ffff, isContact: true, digest: "00112233445566ff" },
  { kind: "help", subject: "node-3" },
  { kind: "helped", subject: "node-3", hasAnswered: false },
  { kind: "news", entries: [{ ...ENTRY, acknowledgedBy: [] }], losses: [{ ...LOSS, fencedBy: [] }], accusations: [{ subject: "node-4", incarnation: 3, accuser: "node-1" }] },
  { kind: "relay", relay: { own: 0x01_0002, rowIds: Uint32Array.of(1, 0xffff_ffff), rowBeats: Uint32Array.of(0x01_0203, 0), rowWords: Uint32Array.of(0, 0xff_ffff), ids: NO_NUMBERS, words: NO_NUMBERS } },
  { kind: "relay", relay: { own: 3, rowIds: NO_NUMBERS, rowBeats: NO_NUMBERS, rowWords: NO_NUMBERS, ids: Uint32Array.of(9, 8, 7), words: Uint32Array.of(1, 2, 3) } },
  { kind: "digest", digest: "00112233445566ff" },
  { kind: "buckets", buckets: Uint8Array.from({ length: 2048 }, (_, i) => i & 0xff), number: 12 },
  { kind: "table", entries: [ENTRY], losses: [LOSS], buckets: new Uint8Array(0), number: 12 },
];

const GOLDEN = new URL("../../src/membership/messages-golden-1.json", import.meta.url);

describe("messages of membership", () => {
  it("each is read as it was written", () => {
    for (const message of MESSAGES) expect(comparable(decodeMembershipMessage(encodeMembershipMessage(message))!)).to.deep.equal(comparable(message));
  });

  it("protocol 1: their bytes are the golden ones", () => {
    const bytes = Object.fromEntries(MESSAGES.map((message, at) => [`${at} ${message.kind}`, Buffer.from(encodeMembershipMessage(message)).toString("hex")]));
    if (process.env["PYROMESH_WRITE_GOLDEN"] === "1") writeFileSync(GOLDEN, `${JSON.stringify(bytes, undefined, 2)}\n`);
    expect(bytes).to.deep.equal(JSON.parse(readFileSync(GOLDEN, "utf8")));
  });

  it("protocol 1: those of builds that announced no formats are read, and their entries have none", () => {
    const bytes = JSON.parse(readFileSync(new URL("../../src/membership/messages-golden-1-before-formats.json", import.meta.url), "utf8")) as Record<string, string>;
    const withoutFormats = (entry: Entry): Entry => ({ ...entry, formats: "", promises: "" });
    for (const [at, message] of MESSAGES.entries()) {
      const expected = "entries" in message ? { ...message, entries: message.entries.map(withoutFormats) } : "entry" in message ? { ...message, entry: withoutFormats(message.entry) } : message;
      expect(comparable(decodeMembershipMessage(Buffer.from(bytes[`${at} ${message.kind}`]!, "hex"))!)).to.deep.equal(comparable(expected));
    }
  });

  it("one that ends early is refused, wherever it ends", () => {
    for (const message of MESSAGES) {
      const bytes = encodeMembershipMessage(message);
      for (let length = 0; length < bytes.length; length++) expect(() => decodeMembershipMessage(bytes.subarray(0, length)), `${message.kind} of ${length} bytes`).to.throw().with.property("code", "PEER_MALFORMED");
    }
  });

  it("one with a byte changed is read as some message or refused, and never throws anything else", () => {
    const random = seededRandom(5);
    for (const message of MESSAGES) {
      const bytes = encodeMembershipMessage(message);
      for (let round = 0; round < 1000; round++) {
        const changed = bytes.slice();
        for (let i = 0; i <= round % 3; i++) changed[Math.floor(random.float() * changed.length)] = Math.floor(random.float() * 256);
        expectReadOrRefused(changed);
      }
    }
  });

  it("noise is refused", () => {
    const random = seededRandom(6);
    for (let round = 0; round < 5000; round++) expectReadOrRefused(random.bytes(1 + Math.floor(random.float() * 60)));
  });

  it("more elements than are known are ignored, as is an unknown kind", () => {
    expect(decodeMembershipMessage(Buffer.from([0x93, 7, 0xc4, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0xc0]))).to.deep.equal({ kind: "digest", digest: "0102030405060708" });
    expect(decodeMembershipMessage(Buffer.from([0x91, 99]))).to.equal(undefined);
  });

  it("a member that claims what no member can be is refused", () => {
    for (const changes of [{ tokenCount: 1e6 }, { incarnation: 2 ** 50 }, { name: "a b" }, { goneJoins: 3 }, { protocolMin: 2 }] as Partial<Entry>[]) {
      const bytes = encodeMembershipMessage({ kind: "probe", entry: { ...ENTRY, ...changes }, heartbeat: 1, digest: "00112233445566ff" });
      expect(() => decodeMembershipMessage(bytes), JSON.stringify(changes)).to.throw().with.property("code", "PEER_MALFORMED");
    }
  });
});

/** Byte strings are read as another class of arrays than they were written. */
function comparable(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)];
  if (Array.isArray(value)) return value.map(comparable);
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, comparable(each)])) : value;
}

function expectReadOrRefused(bytes: Uint8Array): void {
  try {
    decodeMembershipMessage(bytes);
  } catch (error) {
    expect(error, Buffer.from(bytes).toString("hex")).to.have.property("code", "PEER_MALFORMED");
  }
}
