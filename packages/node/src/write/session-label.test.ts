import { expect } from "chai";
import { foldSessions } from "./session-label.ts";

const OTHER = { name: "service_name", value: "api" };
const session = (value: string): { name: string; value: string } => ({ name: "__session_id__", value });
const folded = (value: string, max: number): string | undefined => foldSessions([OTHER, session(value)], max).find(({ name }) => name === "__session_id__")?.value;

describe("foldSessions", () => {
  it("labels without a session pass as they are", () => {
    const labels = [OTHER];
    expect(foldSessions(labels, 3)).to.equal(labels);
    expect(foldSessions(labels, 0)).to.equal(labels);
  });

  it("0 drops the label and nothing else", () => {
    expect(foldSessions([OTHER, session("0100000000000000")], 0)).to.deep.equal([OTHER]);
  });

  it("the least byte stands first, as in Pyroscope: session 4 of at most 3 is session 1", () => {
    expect(folded("0400000000000000", 3)).to.equal("0100000000000000");
    expect(folded("0200000000000000", 3)).to.equal("0200000000000000");
    expect(folded("0001000000000000", 1000), "256").to.equal("0001000000000000");
    expect(folded("0001000000000000", 255), "256 of 255").to.equal("0100000000000000");
  });

  it("one session is one value, and the greatest id is no exception", () => {
    expect(folded("ffffffffffffffff", 1)).to.equal("0000000000000000");
    expect(folded("FFFFFFFFFFFFFFFF", 10), "2^64 - 1 ends in 5").to.equal("0500000000000000");
  });

  it("any number of sessions ends up as at most so many", () => {
    const values = new Set<string | undefined>();
    const bytes = Buffer.alloc(8);
    for (let i = 0n; i < 2000n; i++) {
      bytes.writeBigUInt64LE(BigInt.asUintN(64, i * 0x9e37_79b9_7f4a_7c15n));
      values.add(folded(bytes.toString("hex"), 7));
    }
    expect(values.size).to.equal(7);
    expect(values).not.to.include(undefined);
  });

  it("a value that is not a session id is dropped", () => {
    for (const value of ["", "5", "not-a-session-id", "01000000000000000", "010000000000000g"]) expect(folded(value, 3), value).to.equal(undefined);
  });
});
