import { seededRandom, toHex } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { ArrivalRegister, decodeArrivalTime, encodeArrival } from "./arrival-register.ts";

const keyOf = (number: number): Uint8Array => Buffer.from(String(number).padStart(32, "0"));

describe("a register of times of arrival", () => {
  it("keeps the time that it was asked with first, for an hour at least", () => {
    const clock = new ManualClock();
    const register = new ArrivalRegister({}, { clock });
    const ask = (number: number, timeMs: number): number => decodeArrivalTime(register.handle(encodeArrival(keyOf(number), timeMs)));
    expect([ask(1, 500), ask(1, 400), ask(1, 600), ask(2, 600)]).deep.equal([500, 500, 500, 600]);
    clock.advance(3_599_000);
    expect(ask(1, 700)).equal(500);
    clock.advance(3_600_000);
    ask(3, 1);
    clock.advance(3_601_000);
    expect(ask(1, 700), "forgotten").equal(700);
  });

  it("that began anew, and kept one that came later, keeps the one that was decided from then on", () => {
    const register = new ArrivalRegister({}, { clock: new ManualClock() });
    const ask = (timeMs: number, isDecided = false): number => decodeArrivalTime(register.handle(encodeArrival(keyOf(1), timeMs, isDecided)));
    expect([ask(200), ask(100, true), ask(200), ask(50)]).deep.equal([200, 100, 100, 100]);
  });

  it("remembers at least its bound, and at most twice as many", () => {
    const register = new ArrivalRegister({ keysMax: 10 }, { clock: new ManualClock() });
    for (let number = 0; number < 100; number++) register.first(keyOf(number), number);
    for (let number = 90; number < 100; number++) expect(register.first(keyOf(number), -1)).equal(number);
    expect(register.first(keyOf(5), 7), "long forgotten").equal(7);
  });

  it("its messages are these bytes, are refused where they end early or name no time, and may have more behind", () => {
    const message = encodeArrival(keyOf(1), 1_700_000_000_000);
    // The time is an IEEE 754 double, little-endian.
    expect(toHex(message)).equal(`${"30".repeat(31)}3100008056febc784200`);
    expect(toHex(encodeArrival(keyOf(1), 1_700_000_000_000, true)).slice(-2)).equal("01");
    const register = new ArrivalRegister({}, { clock: new ManualClock() });
    for (let length = 0; length < message.length; length++) expect(() => register.handle(message.subarray(0, length)), `${length}`).throw().with.property("code", "PEER_MALFORMED");
    for (const timeMs of [NaN, Infinity, -1, 0.5]) expect(() => register.handle(encodeArrival(keyOf(1), timeMs))).throw().with.property("code", "PEER_MALFORMED");
    expect(decodeArrivalTime(register.handle(Buffer.concat([message, Buffer.from("later")])))).equal(1_700_000_000_000);
    const random = seededRandom(7);
    for (let round = 0; round < 500; round++) {
      try {
        decodeArrivalTime(register.handle(random.bytes(Math.floor(random.float() * 60))));
      } catch (thrown) {
        expect(thrown).with.property("code", "PEER_MALFORMED");
      }
    }
  });
});
