import { CodedError, invalidArgument } from "@pyromesh/base";
import type { LogFields, Logger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { RefusalLog, refusalReason, withoutQuotes } from "./refusal-log.ts";
import type { Refusal } from "./refusal-log.ts";

class Rig {
  readonly lines: { readonly level: string; readonly fields: LogFields }[] = [];
  readonly clock = new ManualClock();
  readonly log: RefusalLog;

  constructor() {
    const take = (level: string) => (_: string, fields: LogFields = {}) => void this.lines.push({ level, fields });
    const logger: Logger = { debug: take("debug"), info: take("info"), warn: take("warn"), error: take("error"), with: () => logger };
    this.log = new RefusalLog({ clock: this.clock, logger });
  }

  refuse(tenant: string, reason: string, more: Partial<Refusal> = {}): void {
    this.log.note({ tenant, reason, isLoss: true, status: 429, route: "/ingest", message: "too much", ...more });
  }
  /** Tenant, reason and count of the lines logged since the last call. */
  take(): unknown[] {
    return this.lines.splice(0).map(({ fields }) => [fields["tenant"], fields["reason"], fields["count"]]);
  }
}

describe("refusal log", () => {
  it("the first refusal of a tenant and reason is logged at once, further ones once a minute with their count", () => {
    const rig = new Rig();
    for (let i = 0; i < 1000; i++) rig.refuse("a", "rate_limited");
    rig.refuse("b", "rate_limited");
    rig.refuse("a", "series_limit");
    expect(rig.take()).to.deep.equal([["a", "rate_limited", 1], ["b", "rate_limited", 1], ["a", "series_limit", 1]]);
    rig.clock.advance(59_999);
    expect(rig.take()).to.deep.equal([]);
    rig.clock.advance(1);
    expect(rig.take()).to.deep.equal([["a", "rate_limited", 999]]);
    rig.refuse("a", "rate_limited");
    rig.refuse("b", "rate_limited");
    expect(rig.take(), "of a pair that was quiet for a minute the next is a first one").to.deep.equal([["b", "rate_limited", 1]]);
    rig.clock.advance(60_000);
    expect(rig.take()).to.deep.equal([["a", "rate_limited", 1]]);
  });

  it("a hundred pairs of tenant and reason have lines of their own, further ones share one; a minute later there is room again", () => {
    const rig = new Rig();
    for (let i = 0; i < 300; i++) rig.refuse(`t${i}`, "rate_limited");
    expect(rig.take()).to.have.length(101);
    rig.clock.advance(60_000);
    expect(rig.take()).to.deep.equal([["(other)", "(other)", 199]]);
    rig.refuse("t299", "rate_limited");
    expect(rig.take()).to.deep.equal([["t299", "rate_limited", 1]]);
  });

  it("a stop logs what was counted and leaves no timer", () => {
    const rig = new Rig();
    for (let i = 0; i < 3; i++) rig.refuse("a", "rate_limited");
    rig.log.stop();
    expect(rig.take()).to.deep.equal([["a", "rate_limited", 1], ["a", "rate_limited", 2]]);
    rig.clock.advance(600_000);
    expect(rig.take()).to.deep.equal([]);
  });

  it("the level is warn where data is lost, and info for a client's mistake", () => {
    const rig = new Rig();
    rig.refuse("a", "x");
    rig.refuse("a", "y", { isLoss: false });
    expect(rig.lines.map(({ level }) => level)).to.deep.equal(["warn", "info"]);
  });

  it("an example has no text in quotes or braces, and is one short line", () => {
    expect(withoutQuotes('label "sec"ret" is bad: use "x"')).to.equal("label ...");
    expect(withoutQuotes('the series {secret="a", b="}"} has 4 labels: send fewer')).to.equal("the series ... has 4 labels: send fewer");
    expect(withoutQuotes('not JSON (Unexpected token \'s\', "secret)')).to.equal("not JSON (Unexpected token ..., ...");
    expect(withoutQuotes("missing closing ]: `[secret`")).to.equal("missing closing ]: ...");
    expect(withoutQuotes("the profile's time is the client's: set it")).to.equal("the profile's time is the client's: set it");
    expect(withoutQuotes("a\nb\0c")).to.equal("a b c");
    expect(withoutQuotes("x".repeat(5000))).to.have.length(300);
  });

  it("the reason of a push is that of the metrics, of a query the error's code, and without an error the status", () => {
    const limited = new CodedError({ code: "SERIES_LIMIT", kind: "resource_exhausted", message: "m", details: { reason: "series_limit" } });
    expect(refusalReason(limited, 429, true)).to.equal("series_limit");
    expect(refusalReason(new CodedError({ code: "PUSH_REFUSED", kind: "resource_exhausted", message: "m", cause: limited }), 429, true)).to.equal("series_limit");
    expect(refusalReason(invalidArgument("QUERY_INVALID", "m"), 400, false)).to.equal("query_invalid");
    expect(refusalReason(undefined, 404, false)).to.equal("http_404");
  });
});
