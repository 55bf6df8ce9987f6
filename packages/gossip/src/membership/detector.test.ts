import { seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import { DETECTOR_SETTINGS, Detector, type DetectorAction } from "./detector.ts";

const TICK_MS = 100;

/** A detector that this test moves from tick to tick, with a round each second. */
class Rig {
  readonly detector: Detector;
  readonly actions: (DetectorAction & { readonly atMs: number })[] = [];
  readonly answering = new Set<string>();
  readonly heardMs = new Map<string, number>();
  nowMs = 0;

  constructor(memberCount: number) {
    this.detector = new Detector("self", DETECTOR_SETTINGS, { random: seededRandom(1), heardMs: (name) => this.heardMs.get(name) ?? -Infinity });
    for (let i = 1; i < memberCount; i++) {
      this.act((actions) => this.detector.watch(`m${i}`, 1, actions));
      this.answering.add(`m${i}`);
    }
  }

  act(run: (actions: DetectorAction[]) => void): void {
    const actions: DetectorAction[] = [];
    run(actions);
    for (const action of actions) {
      this.actions.push({ ...action, atMs: this.nowMs });
      if (action.kind === "probe" && this.answering.has(action.member)) this.act((answers) => this.detector.onAnswer(action.member, this.nowMs, answers));
    }
  }

  pass(durationMs: number): void {
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs; ) {
      this.nowMs += TICK_MS;
      this.act((actions) => this.detector.tick(this.nowMs, this.nowMs, actions));
      if (this.nowMs % 1000 === 0) this.act((actions) => this.detector.round(this.nowMs, actions));
    }
  }

  times(kind: DetectorAction["kind"], subject = "m1"): number[] {
    return this.actions.filter((action) => action.kind === kind && ("subject" in action ? action.subject : "member" in action ? action.member : "") === subject).map(({ atMs }) => atMs);
  }

  accuse(by: string, subject = "m1", incarnation = 1): void {
    this.act((actions) => this.detector.onAccusation(by, subject, incarnation, this.nowMs, actions));
  }
}

describe("detector", () => {
  it("a small cluster: every member is probed every second", () => {
    const rig = new Rig(10);
    rig.pass(5000);
    for (let i = 1; i < 10; i++) expect(rig.times("probe", `m${i}`)).to.deep.equal([1000, 2000, 3000, 4000, 5000]);
  });

  it("a large cluster: one member a second, each once in a pass, in another order in each", () => {
    const rig = new Rig(31);
    rig.pass(60_000);
    const order = rig.actions.filter((action) => action.kind === "probe").map((action) => (action as { member: string }).member);
    expect(new Set(order.slice(0, 30)).size).to.equal(30);
    expect(new Set(order.slice(30)).size).to.equal(30);
    expect(order.slice(0, 30)).not.to.deep.equal(order.slice(30));
  });

  it("no answer: three helpers are asked after 500 ms, it is suspected after 1 s, and the suspicion that nobody confirms runs out after 12 s", () => {
    const rig = new Rig(10);
    rig.answering.delete("m1");
    rig.pass(20_000);
    expect(rig.times("ask-helper").slice(0, 4)).to.deep.equal([1500, 1500, 1500]);
    expect(rig.times("suspected")).to.deep.equal([2000]);
    expect(rig.times("run-out")[0]).to.equal(14_000);
  });

  it("no answer, and two others say so too: the suspicion runs out after 2 s", () => {
    const rig = new Rig(10);
    rig.answering.delete("m1");
    rig.pass(2000);
    rig.accuse("m2");
    rig.accuse("m3");
    rig.pass(5000);
    expect(rig.times("run-out")[0]).to.equal(4000);
  });

  it("three members: the third one's word is enough; two members: 5 s", () => {
    const three = new Rig(3);
    three.answering.delete("m1");
    three.pass(2000);
    three.accuse("m2");
    three.pass(5000);
    expect(three.times("run-out")[0]).to.equal(4000);
    const two = new Rig(2);
    two.answering.delete("m1");
    two.pass(10_000);
    expect(two.times("run-out")[0]).to.equal(7000);
  });

  it("an answer to a helper counts: it is not suspected", () => {
    const rig = new Rig(10);
    rig.answering.delete("m1");
    rig.pass(1500);
    rig.act((actions) => rig.detector.onAnsweredHelper("m1", rig.nowMs, actions));
    rig.pass(500);
    expect(rig.times("suspected")).to.have.length(0);
  });

  it("a member that answers helpers and not this node is unheard after 3 s: its link is half open", () => {
    const rig = new Rig(10);
    rig.answering.delete("m1");
    for (let second = 0; second < 10; second++) {
      rig.pass(600);
      rig.act((actions) => rig.detector.onAnsweredHelper("m1", rig.nowMs, actions));
      rig.pass(400);
    }
    expect(rig.times("suspected")).to.have.length(0);
    expect(rig.times("unheard")).to.deep.equal([4000, 7000, 10_000]);
  });

  it("a member that was away for 3 s and has a link again: that link is not closed for what went unanswered without one", () => {
    const rig = new Rig(3);
    rig.pass(1000);
    rig.answering.delete("m1");
    rig.act((actions) => rig.detector.onLinkLost("m1", rig.nowMs, actions));
    rig.pass(2900);
    rig.detector.onLinkUp("m1");
    rig.act((actions) => rig.detector.watch("m1", 2, actions)); // it says anew that it is there
    rig.pass(3000);
    expect(rig.times("unheard"), "its first probe has had no time to be answered").to.deep.equal([]);
    rig.pass(1100);
    expect(rig.times("unheard"), "nor has it been answered on the new link since").to.deep.equal([7000]);
  });

  it("others' word against a member that has just answered waits until it answers no more, and is gone when it does", () => {
    const rig = new Rig(10);
    rig.pass(1000);
    rig.accuse("m2");
    rig.accuse("m3");
    expect(rig.detector.isSuspect("m1")).to.equal(false);
    rig.pass(1500);
    expect(rig.detector.isSuspect("m1")).to.equal(false);
    rig.answering.delete("m1");
    rig.accuse("m2");
    rig.pass(1500);
    expect(rig.detector.isSuspect("m1")).to.equal(true);
  });

  it("an accusation of an older incarnation, of oneself and by the accused itself counts for nothing", () => {
    const rig = new Rig(10);
    rig.accuse("m2", "m1", 0);
    rig.accuse("m1", "m1", 1);
    rig.accuse("m2", "self", 1);
    expect(rig.detector.suspects.size).to.equal(0);
  });

  it("a higher incarnation ends a suspicion, and so does an answer", () => {
    const rig = new Rig(10);
    for (const end of [() => rig.act((actions) => rig.detector.watch("m1", 2, actions)), () => rig.act((actions) => rig.detector.onAnswer("m1", rig.nowMs, actions))]) {
      rig.accuse("m2", "m1", 9);
      expect(rig.detector.isSuspect("m1")).to.equal(true);
      end();
      expect(rig.detector.isSuspect("m1")).to.equal(false);
    }
    expect(rig.times("cleared")).to.have.length(2);
  });

  it("a link that the other side closed: suspected at once, for the least time", () => {
    const rig = new Rig(10);
    rig.pass(1000);
    rig.answering.delete("m1");
    rig.pass(100);
    rig.act((actions) => rig.detector.onLinkLost("m1", rig.nowMs, actions));
    expect(rig.times("suspected")).to.deep.equal([1100]);
    rig.pass(4000);
    expect(rig.times("run-out")[0]).to.equal(3100);
  });

  it("a late tick: what was under way begins anew, nobody is suspected, and the node takes itself to be slow", () => {
    const rig = new Rig(10);
    rig.answering.delete("m1");
    rig.pass(1900);
    const dueMs = rig.nowMs + TICK_MS;
    rig.nowMs += 20_000;
    rig.act((actions) => rig.detector.tick(rig.nowMs, dueMs, actions));
    expect(rig.detector.suspects.size).to.equal(0);
    expect(rig.detector.health).to.equal(1);
  });

  it("a suspicion that a pause interrupts has its whole time again", () => {
    const rig = new Rig(10);
    rig.answering.delete("m1");
    rig.pass(3000);
    const dueMs = rig.nowMs + TICK_MS;
    rig.nowMs += 20_000;
    rig.act((actions) => rig.detector.tick(rig.nowMs, dueMs, actions));
    const wokenMs = rig.nowMs;
    rig.pass(30_000);
    expect(rig.times("run-out")[0]).to.be.at.least(wokenMs + 12_000);
  });

  it("helpers that say nothing at all make the node wait longer; those that heard nothing either do not", () => {
    const deaf = new Rig(10);
    deaf.answering.clear();
    deaf.pass(2000);
    expect(deaf.detector.health).to.equal(7);
    const well = new Rig(10);
    well.answering.delete("m1");
    well.pass(1500);
    for (let i = 0; i < 3; i++) well.detector.onSilentHelper("m1");
    well.pass(500);
    expect(well.detector.health).to.equal(0);
  });

  it("who is asked for help probes the member, and says within the interval whether it answered", () => {
    const rig = new Rig(10);
    rig.act((actions) => rig.detector.onHelpAsked("m2", "m1", rig.nowMs, actions));
    expect(rig.times("tell-answered")).to.deep.equal([0]);
    rig.answering.delete("m1");
    rig.act((actions) => rig.detector.onHelpAsked("m2", "m1", rig.nowMs, actions));
    rig.pass(500);
    expect(rig.times("tell-silent")).to.deep.equal([400]);
  });

  it("not more than 16 suspicions and a tenth of the members begin in a minute", () => {
    const rig = new Rig(200);
    for (let i = 1; i < 200; i++) rig.act((actions) => rig.detector.onLinkLost(`m${i}`, rig.nowMs, actions));
    expect(rig.detector.suspects.size).to.equal(36);
  });

  it("a large cluster: a heartbeat that is younger than the suspicion ends it", () => {
    const rig = new Rig(40);
    rig.answering.clear();
    rig.accuse("m2");
    expect(rig.detector.isSuspect("m1")).to.equal(true);
    rig.pass(2000);
    rig.heardMs.set("m1", rig.nowMs); // it may be 2.5 s old
    rig.pass(500);
    expect(rig.detector.isSuspect("m1")).to.equal(true);
    rig.pass(500);
    rig.heardMs.set("m1", rig.nowMs);
    rig.pass(600);
    expect(rig.detector.isSuspect("m1")).to.equal(false);
  });
});
