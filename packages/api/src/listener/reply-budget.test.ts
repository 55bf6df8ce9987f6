import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { ReplyBudget } from "./reply-budget.ts";
import { ManualClock } from "@pyromesh/base/testing";

const MB = 2 ** 20;
const NEVER = new AbortController().signal;

describe("reply budget", () => {
  let clock: ManualClock;
  let budget: ReplyBudget;
  let outcomes: string[];
  let roomInMs = 0;
  beforeEach(() => {
    clock = new ManualClock();
    roomInMs = 0;
    budget = new ReplyBudget({ bytesMax: 40 * MB, waitMs: 15_000, waitingCountMax: 3 }, { clock, roomInMs: () => roomInMs });
    outcomes = [];
  });
  const reserve = async (name: string, bytes: number, signal = NEVER): Promise<void> => {
    await budget.reserve(bytes, signal).then(
      () => outcomes.push(name),
      (error: unknown) => outcomes.push(`${name} ${error instanceof CodedError ? `${error.code} ${String(error.details["retryAfterSeconds"] ?? "")}`.trim() : String(error)}`),
    );
  };
  const settled = async (): Promise<readonly string[]> => {
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    return outcomes;
  };

  it("a reservation waits until there is room, the longest waiting first, and overtakes one that does not fit", async () => {
    expect(budget.tryTake(30 * MB)).to.equal(true);
    void reserve("large", 20 * MB);
    void reserve("second", 5 * MB);
    void reserve("third", 6 * MB);
    expect(await settled()).to.deep.equal([]);
    budget.give(10 * MB);
    expect(await settled()).to.deep.equal(["second"]);
    budget.give(20 * MB);
    expect(await settled()).to.deep.equal(["second", "large"]);
    budget.give(5 * MB);
    expect(await settled()).to.deep.equal(["second", "large", "third"]);
    expect([budget.bytes, budget.waitingCount, clock.timerCount]).to.deep.equal([26 * MB, 0, 0]);
  });

  it("a reservation that waits too long is refused with 503 and the time when there will be room", async () => {
    budget.tryTake(30 * MB);
    void reserve("a", 20 * MB);
    clock.advance(14_999);
    roomInMs = 7_200;
    expect(await settled()).to.deep.equal([]);
    clock.advance(1);
    expect(await settled()).to.deep.equal(["a REPLIES_TOO_LARGE 8"]);
    expect(budget.waitingCount).to.equal(0);
    for (const [ms, seconds] of [[0, 1], [1e9, 60]] as const) {
      roomInMs = ms;
      expect(budget.refusal(1).details).to.deep.equal({ retryAfterSeconds: seconds });
    }
  });

  it("the number of waiting reservations is bounded, and one more is refused at once", async () => {
    budget.tryTake(30 * MB);
    for (const name of ["a", "b", "c", "d"]) void reserve(name, 20 * MB);
    expect(await settled()).to.deep.equal(["d REPLIES_TOO_LARGE 1"]);
  });

  it("a client that goes away no longer waits", async () => {
    budget.tryTake(30 * MB);
    const caller = new AbortController();
    void reserve("a", 20 * MB, caller.signal);
    void reserve("b", 20 * MB, AbortSignal.abort("left already"));
    caller.abort("left");
    expect(await settled()).to.deep.equal(["b left already", "a left"]);
    expect([budget.waitingCount, clock.timerCount]).to.deep.equal([0, 0]);
    budget.give(30 * MB);
    expect(budget.bytes).to.equal(0);
  });

  it("large replies share three quarters, so that small ones find room", () => {
    expect([budget.tryTake(20 * MB), budget.tryTake(11 * MB), budget.tryTake(10 * MB)]).to.deep.equal([true, false, true]);
    for (let n = 0; n < 20; n++) expect(budget.tryTake(MB / 2)).to.equal(true);
    expect(budget.tryTake(1)).to.equal(false);
  });

  it("one large reply alone may be larger than the bound: otherwise it could never be sent", () => {
    budget.tryTake(MB / 2);
    expect([budget.tryTake(100 * MB), budget.tryTake(MB)]).to.deep.equal([true, false]);
  });

  it("a swap replaces the estimate by the real size in one step, or changes nothing", async () => {
    budget.tryTake(25 * MB);
    budget.tryTake(5 * MB);
    void reserve("waits", 4 * MB);
    expect([budget.trySwap(5 * MB, 6 * MB), budget.bytes]).to.deep.equal([false, 30 * MB]);
    expect([budget.trySwap(5 * MB, 3 * MB), budget.bytes]).to.deep.equal([true, 28 * MB]);
    expect(budget.trySwap(25 * MB, 1000)).to.equal(true);
    expect(await settled()).to.deep.equal(["waits"]);
    expect(budget.trySwap(0, 60 * MB)).to.equal(false);
  });

  it("a reply that may be large reserves at most a quarter of the share of large replies", () => {
    expect([budget.reservationFor(1e12), budget.reservationFor(1000)]).to.deep.equal([7.5 * MB, 1000]);
  });

  it("small replies that the kernel did not take may exceed the bound by a quarter", () => {
    budget.tryTake(30 * MB);
    for (let n = 0; n < 20; n++) expect(budget.tryTakeSent(MB)).to.equal(true);
    expect(budget.tryTakeSent(MB)).to.equal(false);
  });

  it("a stop refuses all reservations that wait or come", async () => {
    budget.tryTake(30 * MB);
    void reserve("a", 20 * MB);
    budget.stop();
    void reserve("b", 1);
    expect(await settled()).to.have.members(["a NODE_STOPPING", "b NODE_STOPPING"]);
    expect(clock.timerCount).to.equal(0);
  });
});
