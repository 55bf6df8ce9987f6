import { expect } from "chai";
import { ByteWriter, CorruptionError, crc32, seededRandom, toHex } from "@pyromesh/base";
import { entryOf, lossOfStore, openCluster, openTable, persist, storeOf } from "../table/testing/tables.ts";
import { type ClusterState, decodeClusterState, encodeClusterState } from "./cluster-state.ts";

const STATE: ClusterState = {
  replication: 3,
  bucketReplication: 2,
  entries: [
    entryOf("alpha", 1, { incarnation: 7, zone: "west", acksHeld: 2 }),
    entryOf("beta", 2, { claimsFull: false, status: "dead", acknowledgedBy: [storeOf(1), storeOf(3)] }),
    entryOf("gamma", 3, { status: "forgotten", joins: 2, goneJoins: 2 }),
  ],
  losses: [
    lossOfStore("beta", 2, { wasFull: false, fencedBy: [storeOf(1)], flushedBy: [storeOf(1), storeOf(3)] }),
    lossOfStore("delta", 4, { isCleared: true, goneJoins: 1, acksHeld: 1 }),
  ],
};

const codeOf = (bytes: Uint8Array): string => {
  try {
    decodeClusterState(bytes);
    return "read";
  } catch (error) {
    expect(error).instanceOf(CorruptionError);
    return (error as CorruptionError).code;
  }
};

/** Four small numbers, the last two of them zero: a state without members. */
const isEmptyState = (body: Uint8Array): boolean => body.length === 4 && body[0]! < 128 && body[1]! < 128 && body[2] === 0 && body[3] === 0;

describe("membership: the state on disk", () => {
  it("is read as it was written", () => {
    expect(decodeClusterState(encodeClusterState(STATE))).deep.equal(STATE);
    const unknown: ClusterState = { replication: 1, bucketReplication: undefined, entries: [], losses: [] };
    expect(decodeClusterState(encodeClusterState(unknown))).deep.equal(unknown);
  });

  it("is written as version 2: golden bytes", () => {
    expect(toHex(encodeClusterState(STATE))).equal(GOLDEN_2);
    expect(decodeClusterState(Buffer.from(GOLDEN_2, "hex"))).deep.equal(STATE);
  });

  it("version 1 stays readable: golden bytes, in which members announce no formats", () => {
    const entries = STATE.entries.map((entry) => ({ ...entry, formats: "", promises: "" }));
    expect(decodeClusterState(Buffer.from(GOLDEN_1, "hex"))).deep.equal({ ...STATE, entries });
  });

  it("is refused when it is cut at any byte, and when any bit of it is another", () => {
    const bytes = encodeClusterState(STATE);
    for (let end = 0; end < bytes.length; end++) expect(codeOf(bytes.subarray(0, end)), `cut at ${end}`).equal("CORRUPTION");
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Uint8Array.from(bytes);
      flipped[at]! ^= 1 << (at % 8);
      expect(codeOf(flipped), `flipped at ${at}`).equal("CORRUPTION");
    }
    expect(codeOf(Uint8Array.from([...bytes, 0]))).equal("CORRUPTION");
  });

  it("noise is refused, also under a right header and checksum", () => {
    const random = seededRandom(1);
    for (let round = 0; round < 500; round++) {
      const noise = random.bytes(Math.floor(random.float() * 300));
      expect(codeOf(noise)).equal("CORRUPTION");
      const writer = new ByteWriter(400).raw(encodeClusterState(STATE).subarray(0, 8)).u32(noise.length).raw(noise);
      expect(codeOf(writer.u32(crc32(writer.finish())).finish()), toHex(noise)).equal(isEmptyState(noise) ? "read" : "CORRUPTION");
    }
  });

  it("another version is named", () => {
    const bytes = encodeClusterState(STATE);
    bytes[4] = 3;
    expect(() => decodeClusterState(bytes)).throw(/version 3, of another build/);
  });

  it("a restart goes on from it: a higher incarnation, still full, whom it fenced is fenced", () => {
    const [a, b, c] = openCluster(3) as [ReturnType<typeof openTable>, ReturnType<typeof openTable>, ReturnType<typeof openTable>];
    a.declareDead("n2", 0);
    persist(a);
    const again = openTable("n0", 1, { bootNumber: 2, restored: decodeClusterState(encodeClusterState(a.state)), nowMs: 9000 });
    expect(again.own.incarnation).equal(a.own.incarnation + 1);
    expect(again.isFull).equal(true);
    expect(again.onProbe(c.own, 9000).reason).equal("fenced");
    expect(again.onProbe(b.own, 9000).reason).equal("answered");
    expect(again.listAfterMs).equal(9000);
  });
});

const GOLDEN_2 = 
  "50594d43020000008e01000003030305616c7068610000000000000000000000000000000100000000000000010700010100020a616c7068613a373934360a616c7068613a343034300477657374800101010474657374000a01010101010101010101050101010101046265746100000000000000000000000000000002000000000000000101020001000209626574613a3739343609626574613a34303430008001010104746573740200000000000000000000000000000001000000000000000000000000000000030a010101010101010101010501010101010567616d6d610000000000000000000000000000000300000000000000010104010202020a67616d6d613a373934360a67616d6d613a3430343000800101010474657374000a01010101010101010101050101010101020462657461000000000000000000000000000000020102000001000000000000000000000000000000010200000000000000000000000000000001000000000000000000000000000000030564656c746100000000000000000000000000000004010103010000b1443558";
const GOLDEN_1 =
  "50594d43010000005b01000003030305616c7068610000000000000000000000000000000100000000000000010700010100020a616c7068613a3739" +
  "34360a616c7068613a343034300477657374800101010474657374000462657461000000000000000000000000000000020000000000000001010200" +
  "01000209626574613a3739343609626574613a3430343000800101010474657374020000000000000000000000000000000100000000000000000000" +
  "0000000000030567616d6d610000000000000000000000000000000300000000000000010104010202020a67616d6d613a373934360a67616d6d613a" +
  "343034300080010101047465737400020462657461000000000000000000000000000000020102000001000000000000000000000000000000010200" +
  "000000000000000000000000000001000000000000000000000000000000030564656c746100000000000000000000000000000004010103010000ea" +
  "f1d9c9";
