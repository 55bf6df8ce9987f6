import { CodedError, seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import { decodeAdHocObject, encodeAdHocObject } from "./adhoc-object.ts";

function outcomeOf(bytes: Uint8Array): string {
  try {
    return Buffer.from(decodeAdHocObject(bytes, "k")).toString();
  } catch (thrown) {
    return thrown instanceof CodedError ? thrown.code : String(thrown);
  }
}

describe("the object of an ad hoc profile", () => {
  it("has today's bytes", () => {
    expect(Buffer.from(encodeAdHocObject(Buffer.from("main 1\n"))).toString("hex")).to.equal("504d41480100000007000000e413bbe56d61696e20310a");
  });

  it("gives back the file", () => {
    expect(outcomeOf(encodeAdHocObject(Buffer.from("main 1\n")))).to.equal("main 1\n");
    expect(outcomeOf(encodeAdHocObject(new Uint8Array(0)))).to.equal("");
  });

  it("cut at any byte, or with one changed, it is refused", () => {
    const object = encodeAdHocObject(Buffer.from("main;work 12\n"));
    for (let length = 0; length < object.length; length++) expect(outcomeOf(object.subarray(0, length)), `${length} bytes`).to.equal("ADHOC_DAMAGED");
    for (let at = 0; at < object.length; at++) {
      const changed = Uint8Array.from(object);
      changed[at]! ^= 0x10;
      expect(outcomeOf(changed), `byte ${at}`).to.equal("ADHOC_DAMAGED");
    }
    expect(outcomeOf(Buffer.concat([object, Buffer.from("x")]))).to.equal("ADHOC_DAMAGED");
  });

  it("noise is refused", () => {
    const random = seededRandom(5);
    for (let length = 0; length < 200; length++) expect(outcomeOf(random.bytes(length))).to.equal("ADHOC_DAMAGED");
  });
});
