import { seededRandom, toHex } from "@pyromesh/base";
import { expect } from "chai";
import { decodeAppend, decodeAppendAnswer, encodeAppend, encodeAppendAnswer } from "./append-message.ts";
import type { AppendAnswer, SentRecord, StoreList } from "./append-message.ts";

const storeOf = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const WIDE: StoreList = { stores: [storeOf(1), storeOf(2), storeOf(3)], acks: 2 };
const NARROW: StoreList = { stores: [storeOf(2), storeOf(1)], acks: 2 };
const RECORDS: readonly SentRecord[] = [
  { list: WIDE, bytes: Uint8Array.of(1, 2, 3) },
  { list: NARROW, bytes: Uint8Array.of(4) },
  { list: WIDE, bytes: new Uint8Array(0) },
];
const ANSWER: AppendAnswer = { storeId: "0f".repeat(16), outcomes: ["kept", { code: "HEAD_FULL", message: "no room" }, "kept-before"] };

/** Golden: what nodes of every version send. */
const REQUEST_HEX =
  "5c000000" + // bytes of the head
  "02" + // lists
  ("02" + "03" + "01".repeat(16) + "02".repeat(16) + "03".repeat(16)) + // acks, stores
  ("02" + "02" + "02".repeat(16) + "01".repeat(16)) +
  ("03" + "0003" + "0101" + "0000") + // records: list, size
  "01020304";
const ANSWER_HEX = "0f".repeat(16) + "03" + "00" + ("02" + "09" + Buffer.from("HEAD_FULL").toString("hex") + "07" + Buffer.from("no room").toString("hex")) + "01";

const isMalformed = (read: () => unknown, what: string): void => void expect(read, what).throw().with.property("code", "PEER_MALFORMED");
const plain = (records: readonly SentRecord[]): unknown => records.map(({ list: { acks, stores }, bytes }) => [acks, stores.map(toHex), [...bytes]]);

describe("the messages of append", () => {
  it("are these bytes", () => {
    expect(toHex(encodeAppend(RECORDS))).equal(REQUEST_HEX);
    expect(toHex(encodeAppendAnswer(ANSWER))).equal(ANSWER_HEX);
  });

  it("are read as they were written; records of one list share it, and their bytes are not copied", () => {
    const message = encodeAppend(RECORDS);
    const records = decodeAppend(message);
    expect(plain(records)).deep.equal(plain(RECORDS));
    expect(records[0]!.list).equal(records[2]!.list);
    expect(records[0]!.bytes.buffer).equal(message.buffer);
    expect(decodeAppendAnswer(encodeAppendAnswer(ANSWER), 3)).deep.equal(ANSWER);
    expect(decodeAppend(encodeAppend([]))).deep.equal([]);
  });

  it("may have fields of a later version behind those that this one knows", () => {
    const message = Buffer.from(REQUEST_HEX, "hex");
    const head = message.readUInt32LE(0);
    const later = Buffer.concat([message.subarray(0, 4 + head), Buffer.from("later"), message.subarray(4 + head)]);
    later.writeUInt32LE(head + 5, 0);
    expect(plain(decodeAppend(later))).deep.equal(plain(RECORDS));
    expect(decodeAppendAnswer(Buffer.from(`${ANSWER_HEX}1234`, "hex"), 3)).deep.equal(ANSWER);
  });

  it("are refused where they end early, at every byte", () => {
    const message = encodeAppend(RECORDS);
    for (let length = 0; length < message.length; length++) isMalformed(() => decodeAppend(message.subarray(0, length)), `request, ${length} bytes`);
    const answer = encodeAppendAnswer(ANSWER);
    for (let length = 0; length < answer.length; length++) isMalformed(() => decodeAppendAnswer(answer.subarray(0, length), 3), `answer, ${length} bytes`);
  });

  it("made of noise, or of a message with noise in it, are read or refused, and nothing else happens", () => {
    const random = seededRandom(16);
    const read = (decode: () => unknown): void => {
      try {
        decode();
      } catch (thrown) {
        expect(thrown).with.property("code", "PEER_MALFORMED");
      }
    };
    for (let round = 0; round < 2000; round++) {
      const noise = random.bytes(Math.floor(random.float() * 200));
      read(() => decodeAppend(noise));
      read(() => decodeAppendAnswer(noise, 3));
      const request = Buffer.from(REQUEST_HEX, "hex");
      request[Math.floor(random.float() * request.length)] = random.bytes(1)[0]!;
      read(() => decodeAppend(request));
      const answer = Buffer.from(ANSWER_HEX, "hex");
      answer[Math.floor(random.float() * answer.length)] = random.bytes(1)[0]!;
      read(() => decodeAppendAnswer(answer, 3));
    }
  });

  it("with a list that cannot be are refused: no store, one twice, too many, fewer acks than a majority, more acks than stores", () => {
    const bytes = Uint8Array.of(1);
    const many = Array.from({ length: 17 }, (_, index) => storeOf(index));
    const lists: readonly StoreList[] = [
      { stores: [], acks: 0 },
      { stores: [storeOf(1), storeOf(1)], acks: 2 },
      { stores: many, acks: 9 },
      { ...WIDE, acks: 1 },
      { ...WIDE, acks: 4 },
    ];
    for (const list of lists) isMalformed(() => decodeAppend(encodeAppend([{ list, bytes }])), JSON.stringify(list.stores.map(toHex)));
  });

  it("an answer to another number of records than were sent is refused", () => {
    isMalformed(() => decodeAppendAnswer(encodeAppendAnswer(ANSWER), 2), "three for two");
  });

  it("a refusal's text is cut where it is longer than a peer reads", () => {
    const long = { storeId: ANSWER.storeId, outcomes: [{ code: "X", message: "m".repeat(5000) }] };
    expect(decodeAppendAnswer(encodeAppendAnswer(long), 1).outcomes).deep.equal([{ code: "X", message: "m".repeat(1024) }]);
  });
});
