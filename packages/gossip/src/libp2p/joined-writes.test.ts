import { expect } from "chai";
import { withJoinedWrites } from "./joined-writes.ts";

class FakeList {
  readonly parts: readonly Uint8Array[];
  constructor(...parts: readonly Uint8Array[]) {
    this.parts = parts;
  }
  get byteLength(): number {
    return this.parts.reduce((sum, { length }) => sum + length, 0);
  }
  subarray(): Uint8Array {
    return Buffer.concat(this.parts);
  }
}

class FakeConnection {
  readonly sent: (Uint8Array | FakeList)[] = [];
  send(bytes: Uint8Array | FakeList): boolean {
    this.sent.push(bytes);
    return true;
  }
}

class FakeEncryption {
  readonly protocol = "/fake";
  async secureInbound(connection: FakeConnection): Promise<{ connection: FakeConnection }> {
    return { connection };
  }
  async secureOutbound(connection: FakeConnection): Promise<{ connection: FakeConnection }> {
    return { connection };
  }
}

describe("joined writes", () => {
  for (const method of ["secureInbound", "secureOutbound"] as const) {
    it(`${method}: a frame's header and data are encrypted as one`, async () => {
      const encryption = withJoinedWrites(() => new FakeEncryption())(undefined);
      const { connection } = await encryption[method](new FakeConnection());
      expect(connection.send(new FakeList(Uint8Array.of(1, 2), Uint8Array.of(3)))).to.equal(true);
      connection.send(Uint8Array.of(4));
      expect(connection.sent.map((bytes) => [...(bytes as Uint8Array)])).to.deep.equal([[1, 2, 3], [4]]);
      expect(encryption.protocol).to.equal("/fake");
    });
  }

  it("what is longer than a channel writes at once is not copied", async () => {
    const { connection } = await withJoinedWrites(() => new FakeEncryption())(undefined).secureInbound(new FakeConnection());
    const list = new FakeList(new Uint8Array(12), new Uint8Array(64 * 1024 + 1));
    connection.send(list);
    expect(connection.sent).to.deep.equal([list]);
  });
});
