import { silentLogger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import type { RowSource } from "./compute.ts";
import { ReadBack } from "./read-back.ts";
import type { WorkerCall } from "./worker-protocol.ts";

describe("read back", () => {
  it("a worker that dies with rows of two generations on their way leaves no rejection that nobody handles (it ended the node)", async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
    const before = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", onUnhandled);
    try {
      let epoch = 0;
      const refusals: (() => void)[] = [];
      const insertBack = (generation: number): { readonly call: WorkerCall; readonly done: Promise<void> } => ({
        call: { method: "drop", generation },
        done: new Promise((_, reject) => void refusals.push(() => reject(new Error("the thread died")))),
      });
      const worker = {
        get epoch(): number {
          return epoch;
        },
        insertBack,
        restart: (): void => {},
      };
      const record = (seq: number) => ({ seq, cutId: seq, record: { tenant: "t1", service: "api", timeMs: 1, bytes: new Uint8Array(8) } });
      const source = {
        generationOf: (cutId: number) => cutId,
        readLive: (_range: unknown, _pageBytes: number, visit: (page: unknown) => void) => {
          visit({ records: [record(1), record(2)], unreadable: [] });
          epoch++; // the death: all that was with the thread is refused
          for (const refuse of refusals) refuse();
          return Promise.resolve(undefined);
        },
      } as unknown as RowSource; // of which a read-back of whole pages calls no more
      const readBack = new ReadBack({ worker: 0, workerCount: 1 }, { worker, clock: new ManualClock(), logger: silentLogger });
      expect(await readBack.run(source, 3, new AbortController().signal, () => {})).to.equal(undefined);
      expect(refusals).to.have.length(2);
      await new Promise((resolve) => setImmediate(resolve)); // Node tells of unhandled rejections after a turn
      expect(unhandled).to.deep.equal([]);
    } finally {
      process.off("unhandledRejection", onUnhandled);
      for (const listener of before) process.on("unhandledRejection", listener);
    }
  });
});
