import { EventEmitter } from "node:events";
import { listeningLogger, StillClock } from "@pyromesh/head/testing";
import { expect } from "chai";
import { stopOnSignals } from "./stop-signals.ts";

describe("stop signals", () => {
  let clock: StillClock;
  let signals: EventEmitter;
  let lines: { readonly level: string; readonly message: string; readonly fields: object }[];
  let exits: number[];
  let stopCount: number;
  let endStop: (error?: Error) => void;

  beforeEach(() => {
    clock = new StillClock();
    signals = new EventEmitter();
    lines = [];
    exits = [];
    stopCount = 0;
    const stop = (): Promise<void> => {
      stopCount++;
      return new Promise((resolve, reject) => (endStop = (error) => (error === undefined ? resolve() : reject(error))));
    };
    void stopOnSignals(stop, { timeoutMs: 14_000 }, { clock, logger: listeningLogger(lines), signals, exit: (code) => void exits.push(code) });
  });

  const send = (signal: "SIGTERM" | "SIGINT"): void => void signals.emit(signal, signal);
  const errors = (): string[] => lines.filter(({ level }) => level === "error").map(({ message }) => message);

  it("the first stops cleanly, once; what comes within a second is the same signal, passed on by someone", async () => {
    send("SIGINT");
    send("SIGINT");
    clock.advance(999);
    send("SIGINT");
    send("SIGTERM");
    expect([stopCount, exits]).to.deep.equal([1, []]);
    endStop();
    await clock.settle();
    expect(exits).to.deep.equal([0]);
    expect(errors()).to.deep.equal([]);
  });

  it("SIGTERM again changes nothing, however late", async () => {
    send("SIGTERM");
    clock.advance(10_000);
    send("SIGTERM");
    expect([stopCount, exits]).to.deep.equal([1, []]);
    endStop();
    await clock.settle();
    expect(exits).to.deep.equal([0]);
    expect(errors()).to.deep.equal([]);
  });

  it("SIGINT again after a second ends at once with 130, which is no error", () => {
    send("SIGTERM");
    clock.advance(1000);
    send("SIGINT");
    expect([stopCount, exits]).to.deep.equal([1, [130]]);
    expect(errors()).to.deep.equal([]);
  });

  it("a stop that takes too long, or fails, exits with 1 and says so", async () => {
    send("SIGTERM");
    clock.advance(14_000);
    expect(exits).to.deep.equal([1]);
    endStop(new Error("no"));
    await clock.settle();
    expect(exits).to.deep.equal([1, 1]);
    expect(errors()).to.deep.equal(["the node did not stop in time; what was accepted is on disk", "the node stopped with an error"]);
  });
});
