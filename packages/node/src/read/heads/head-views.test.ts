import { CodedError, seededRandom } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import type { HeadView } from "./head-view.ts";
import { HeadViews, VIEW_IDLE_MS_MAX } from "./head-views.ts";

const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => "done", (error: unknown) => (error instanceof CodedError ? error.code : String(error)));
const idle = (): Promise<void> => Promise.resolve();

describe("the views of a head", () => {
  let clock: ManualClock;
  let released: string[];
  beforeEach(() => {
    clock = new ManualClock();
    released = [];
  });

  const viewsOf = (options: { readonly countMax?: number; readonly bytesMax?: number } = {}): HeadViews => new HeadViews(options, { clock, random: seededRandom(1) });
  const view = (name: string, sizeBytes = 10): HeadView => ({ tenants: new Map(), generations: [], recordCount: 1, sizeBytes, release: () => void released.push(name) });

  it("one is used by the member that had it opened, and by no other", async () => {
    const views = viewsOf();
    const id = views.add("a", view("first"));
    expect([await codeOf(views.use("a", id, idle)), await codeOf(views.use("b", id, idle)), await codeOf(views.use("a", "00".repeat(8), idle))]).deep.equal(["done", "HEAD_VIEW_EXPIRED", "HEAD_VIEW_EXPIRED"]);
    views.release("b", id);
    expect([views.count, released]).deep.equal([1, []]);
    views.release("a", id);
    expect([views.count, views.sizeBytes, released]).deep.equal([0, 0, ["first"]]);
  });

  it("is released by itself some time after its last use", async () => {
    const views = viewsOf();
    const id = views.add("a", view("first"));
    clock.advance(VIEW_IDLE_MS_MAX - 1);
    await views.use("a", id, idle);
    clock.advance(VIEW_IDLE_MS_MAX - 1);
    expect(released).deep.equal([]);
    clock.advance(1);
    expect([released, await codeOf(views.use("a", id, idle))]).deep.equal([["first"], "HEAD_VIEW_EXPIRED"]);
  });

  it("stays while it is read, although it was released, and takes no more readers", async () => {
    const views = viewsOf();
    const id = views.add("a", view("first"));
    let end!: () => void; // set at once
    const reading = views.use("a", id, () => new Promise<void>((resolve) => (end = resolve)));
    views.stop();
    clock.advance(VIEW_IDLE_MS_MAX);
    expect([released, await codeOf(views.use("a", id, idle))]).deep.equal([[], "HEAD_VIEW_EXPIRED"]);
    end();
    await reading;
    expect([released, views.count]).deep.equal([["first"], 0]);
  });

  it("past the number or the bytes, another is refused and released", () => {
    const few = viewsOf({ countMax: 1 });
    few.add("a", view("first"));
    expect(() => few.add("a", view("second"))).to.throw(CodedError).with.property("code", "HEAD_VIEWS_FULL");
    const small = viewsOf({ bytesMax: 15 });
    small.add("a", view("third"));
    expect(() => small.add("b", view("fourth"))).to.throw(CodedError).with.property("code", "HEAD_VIEWS_FULL");
    expect(released).deep.equal(["second", "fourth"]);
  });
});
