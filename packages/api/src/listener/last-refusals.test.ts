import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { LastRefusals } from "./last-refusals.ts";
import type { Refusal } from "./refusal-log.ts";

describe("last refusals", () => {
  const refusal = (fields: Partial<Refusal> = {}): Refusal => ({ tenant: "secret-tenant", reason: "not_enough_acks", isLoss: true, status: 503, route: "/ingest", message: "1 of 2 stores answered", ...fields });

  it("name route, status and reason, newest first, and no tenant", () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1, 14, 3, 12));
    const last = new LastRefusals({ clock });
    last.note(refusal());
    clock.advance(1000);
    last.note(refusal({ route: "/push", reason: "head_full", message: 'no room for "a label of the client"' }));
    expect(last.texts).to.deep.equal(["14:03:13 /push 503 head_full: no room for ...", "14:03:12 /ingest 503 not_enough_acks: 1 of 2 stores answered"]);
  });

  it("one that comes again counts up and comes first; five are kept", () => {
    const last = new LastRefusals({ clock: new ManualClock(0) });
    for (let at = 0; at < 7; at++) last.note(refusal({ reason: `r${at}`, message: "" }));
    last.note(refusal({ reason: "r3", message: "" }));
    expect(last.texts.map((text) => text.slice(9))).to.deep.equal(["/ingest 503 r3 (2 times)", "/ingest 503 r6", "/ingest 503 r5", "/ingest 503 r4", "/ingest 503 r2"]);
  });

  it("a query that was wrong is none, and a long message is cut", () => {
    const last = new LastRefusals({ clock: new ManualClock(0) });
    last.note(refusal({ isLoss: false }));
    expect(last.texts).to.deep.equal([]);
    last.note(refusal({ message: "x".repeat(1000) }));
    expect(last.texts[0]!.length).to.equal(200);
  });
});
