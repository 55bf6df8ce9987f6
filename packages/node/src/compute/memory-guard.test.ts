import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { HeldHeap, MemoryGuard, threadHeap } from "./memory-guard.ts";
import type { GuardedHeap } from "./memory-guard.ts";

/** What is alive, and garbage beside it that a collection takes away. */
class FakeHeap implements GuardedHeap {
  aliveBytes = 10;
  garbageBytes = 0;
  outsideBytes = 0;
  outsideGarbageBytes = 0;
  collectCount = 0;

  use(): ReturnType<GuardedHeap["use"]> {
    return { usedBytes: this.aliveBytes + this.garbageBytes, heapBytesMax: 100, outsideBytes: this.outsideBytes + this.outsideGarbageBytes };
  }

  collect(): void {
    this.collectCount++;
    this.garbageBytes = 0;
    this.outsideGarbageBytes = 0;
  }
}

const codeOf = (guard: MemoryGuard): string => {
  try {
    guard.check();
    return "none";
  } catch (error) {
    return error instanceof CodedError ? `${error.kind}: ${error.code}` : String(error);
  }
};

describe("memory guard", () => {
  let heap: FakeHeap;
  beforeEach(() => (heap = new FakeHeap()));

  it("a query that fills half of the heap with what is alive is ended, and the message says what to ask instead", () => {
    const guard = new MemoryGuard({ outsideBytesMax: 1000 }, { heap: new HeldHeap(heap) });
    heap.aliveBytes = 60;
    expect(codeOf(guard), "it may be").to.equal("none");
    expect(heap.collectCount, "nothing is collected before the heap looks full").to.equal(0);
    heap.aliveBytes = 71;
    expect(codeOf(guard)).to.equal("failed_precondition: QUERY_OUT_OF_MEMORY");
  });

  it("rows that are pushed between two slices of a query do not count against it", () => {
    let rowBytes = 500;
    const guard = new MemoryGuard({ outsideBytesMax: 1000 }, { heap: new HeldHeap(heap), rowBytes: () => rowBytes });
    rowBytes += 5_000;
    heap.outsideBytes = 5_000 + 600;
    expect(codeOf(guard)).to.equal("none");
    heap.outsideBytes = 5_000 + 701;
    expect(codeOf(guard)).to.equal("failed_precondition: QUERY_OUT_OF_MEMORY");
  });

  it("a query that a segment was built beside is told to come back: it may not be the one that took the memory", () => {
    const guard = new MemoryGuard({ outsideBytesMax: 1000 }, { heap: new HeldHeap(heap) });
    guard.noteCompany();
    heap.outsideBytes = 600;
    expect(codeOf(guard)).to.equal("none");
    heap.outsideBytes = 701;
    expect(codeOf(guard)).to.equal("unavailable: WORKER_FULL");
  });

  it("rows and opened datasets do not count against a query: only what it adds, by half of what they leave", () => {
    heap.aliveBytes = 60;
    const held = new HeldHeap(heap);
    const guard = new MemoryGuard({ outsideBytesMax: 1000 }, { heap: held });
    expect(heap.collectCount, "rows that grew by so much are counted").to.equal(1);
    heap.aliveBytes = 79;
    expect(codeOf(guard)).to.equal("none");
    heap.aliveBytes = 89;
    expect(codeOf(guard), "not the query's fault: 503").to.equal("unavailable: WORKER_FULL");
    heap.aliveBytes = 61;
    heap.garbageBytes = 15;
    expect(codeOf(new MemoryGuard({ outsideBytesMax: 1000 }, { heap: held })), "the next one").to.equal("none");
    expect(heap.collectCount, "no collection for each call").to.equal(2);
  });

  it("rows that left memory are not remembered: a query that then fills the heap is ended in time", () => {
    heap.aliveBytes = 60;
    const held = new HeldHeap(heap);
    expect(held.heldBytes()).to.equal(60);
    heap.aliveBytes = 10;
    const guard = new MemoryGuard({ outsideBytesMax: 1000 }, { heap: held });
    heap.aliveBytes = 80;
    expect(codeOf(guard)).to.equal("failed_precondition: QUERY_OUT_OF_MEMORY");
  });

  it("garbage is collected, and does not count", () => {
    const guard = new MemoryGuard({ outsideBytesMax: 1000 }, { heap: new HeldHeap(heap) });
    heap.garbageBytes = 85;
    heap.outsideGarbageBytes = 5000;
    expect(codeOf(guard)).to.equal("none");
    expect(heap.collectCount).to.equal(1);
    expect(codeOf(guard)).to.equal("none");
    expect(heap.collectCount).to.equal(1);
  });

  it("what a query builds outside of the heap counts from its own beginning", () => {
    heap.outsideBytes = 5000; // rows
    const guard = new MemoryGuard({ outsideBytesMax: 1000 }, { heap: new HeldHeap(heap) });
    expect(codeOf(guard)).to.equal("none");
    heap.outsideBytes = 5701;
    expect(codeOf(guard)).to.equal("failed_precondition: QUERY_OUT_OF_MEMORY");
  });

  it("this thread's own heap: typed arrays are seen, and are gone after a collection", () => {
    const own = threadHeap();
    own.collect(); // what earlier tests left, which a collection on the way would take from the difference
    const before = own.use().outsideBytes;
    let held: Uint8Array | undefined = new Uint8Array(100e6);
    expect(own.use().outsideBytes - before).to.be.within(90e6, 110e6);
    expect(held.length).to.equal(100e6);
    held = undefined;
    own.collect();
    expect(own.use().outsideBytes - before).to.be.below(50e6);
    expect(own.use().usedBytes).to.be.below(own.use().heapBytesMax);
  });
});
