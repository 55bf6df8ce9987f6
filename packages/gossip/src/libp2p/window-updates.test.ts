import { expect } from "chai";
import { sendFewerWindowUpdates } from "./window-updates.ts";

/** As yamux's: it tells of whatever was taken. */
class FakeStream {
  state = 3;
  recvWindow = 1000;
  recvWindowCapacity = 1000;
  readonly updates: number[] = [];

  take(bytes: number): void {
    this.recvWindowCapacity -= bytes;
    this.sendWindowUpdate();
  }
  sendWindowUpdate(): void {
    this.updates.push(this.recvWindow - this.recvWindowCapacity);
    this.recvWindowCapacity = this.recvWindow;
  }
}

describe("window updates of a stream", () => {
  it("small messages are told of together, once half of the window is used", () => {
    const stream = new FakeStream();
    sendFewerWindowUpdates(stream);
    for (let at = 0; at < 9; at++) stream.take(100);
    expect(stream.updates).to.deep.equal([500]);
  });

  it("who used up the window is told of all of it", () => {
    const stream = new FakeStream();
    sendFewerWindowUpdates(stream);
    stream.take(400);
    stream.take(600);
    expect(stream.updates).to.deep.equal([1000]);
  });

  it("an update that opens the stream, or ends a pause, goes at once", () => {
    for (const state of [0, 1, 2, 5]) {
      const stream = new FakeStream();
      sendFewerWindowUpdates(stream);
      stream.state = state;
      stream.take(1);
      expect(stream.updates).to.deep.equal([1]);
    }
  });

  it("a stream of another multiplexer stays as it is", () => {
    const stream = { send: () => true };
    sendFewerWindowUpdates(stream);
    expect(Object.keys(stream)).to.deep.equal(["send"]);
  });
});
