import { expect } from "chai";
import { sendFewerWindowUpdates } from "./window-updates.ts";

const [ACCEPTED, ESTABLISHED] = [2, 3];

describe("window updates", () => {
  const streamOf = (state: number): { state: number; recvWindow: number; recvWindowCapacity: number; sentCount: number; sendWindowUpdate(): void; take(sizeBytes: number): void } => ({
    state,
    recvWindow: 1000,
    recvWindowCapacity: 1000,
    sentCount: 0,
    sendWindowUpdate() {
      this.sentCount++;
      this.recvWindowCapacity = this.recvWindow;
    },
    take(sizeBytes) {
      this.recvWindowCapacity -= sizeBytes;
      this.sendWindowUpdate();
    },
  });

  it("one is sent when half of the window is used up, whatever the messages' sizes", () => {
    const stream = streamOf(ESTABLISHED);
    sendFewerWindowUpdates(stream);
    stream.take(499);
    expect(stream.sentCount).to.equal(0);
    stream.take(1);
    expect(stream.sentCount).to.equal(1);
    stream.take(1000);
    expect(stream.sentCount).to.equal(2);
  });

  it("the first one of a stream that the other side opened is sent at once: it accepts the stream", () => {
    const stream = streamOf(ACCEPTED);
    sendFewerWindowUpdates(stream);
    stream.take(1);
    expect(stream.sentCount).to.equal(1);
  });

  it("a stream without such a window stays as it is", () => {
    const stream = { sendWindowUpdate: (): string => "its own" };
    sendFewerWindowUpdates(stream);
    expect(stream.sendWindowUpdate()).to.equal("its own");
  });
});
