import { seededRandom } from "@pyromesh/base";
import { expect } from "chai";
import { heartbeatOf, isLaterHeartbeat, isOfIncarnation, NO_HEARTBEAT, OwnHeartbeats } from "./heartbeats.ts";
import { RelayGrid } from "./relay-grid.ts";
import { Relay, type RelayMember, type RelayMessage } from "./relay.ts";

describe("heartbeats", () => {
  it("a later one is later, within an incarnation and across, when numbers wrap too", () => {
    expect(isLaterHeartbeat(heartbeatOf(3, 2), heartbeatOf(3, 1))).to.equal(true);
    expect(isLaterHeartbeat(heartbeatOf(4, 1), heartbeatOf(3, 60_000))).to.equal(true);
    expect(isLaterHeartbeat(heartbeatOf(256, 1), heartbeatOf(255, 9))).to.equal(true);
    expect(isLaterHeartbeat(heartbeatOf(3, 1), heartbeatOf(3, 0xffff))).to.equal(true);
    expect(isLaterHeartbeat(heartbeatOf(3, 1), heartbeatOf(3, 1))).to.equal(false);
    expect(isLaterHeartbeat(heartbeatOf(3, 1), NO_HEARTBEAT)).to.equal(true);
    expect(isLaterHeartbeat(NO_HEARTBEAT, heartbeatOf(3, 1))).to.equal(false);
  });

  it("it tells its incarnation, so that nobody vouches for one that it has not stored", () => {
    expect(isOfIncarnation(heartbeatOf(300, 5), 300)).to.equal(true);
    expect(isOfIncarnation(heartbeatOf(300, 5), 299)).to.equal(false);
  });

  it("the time of sending is remembered for the last sixteen, and for no number of another start", () => {
    const beats = new OwnHeartbeats();
    const numbers = Array.from({ length: 17 }, (_, i) => beats.next(2, i * 1000));
    expect(beats.sentMs(numbers[0]!)).to.equal(undefined);
    expect(beats.sentMs(numbers[1]!)).to.equal(1000);
    expect(beats.sentMs(numbers[16]!)).to.equal(16_000);
    expect(beats.sentMs(heartbeatOf(1, 17))).to.equal(undefined);
  });
});

describe("relay grid", () => {
  it("for every two members a third, or one of the two, is in the row of the one and relays to the other", () => {
    for (const size of [1, 2, 3, 5, 16, 17, 18, 30, 31, 40, 97, 100]) {
      const ids = Array.from({ length: size }, (_, i) => i * 10);
      const grids = new Map(ids.map((id) => [id, new RelayGrid(ids, id)]));
      for (const from of ids) {
        const grid = grids.get(from)!;
        for (const to of ids) {
          if (from === to) continue;
          const isReached = grid.columnMates.includes(to) || [...grid.relayedBy].some(([mate, members]) => members.includes(to) && (mate === to || grids.get(mate)!.columnMates.includes(to)));
          expect(isReached, `${size}: ${from} to ${to}`).to.equal(true);
        }
      }
    }
  });

  it("everyone speaks to about two square roots of all", () => {
    const ids = Array.from({ length: 1000 }, (_, i) => i);
    for (const id of [0, 17, 500, 999]) {
      const { rowMates, columnMates } = new RelayGrid(ids, id);
      expect(rowMates.length + columnMates.length).to.be.below(100);
      expect(rowMates.length).to.be.within(30, 32);
    }
  });
});

describe("relay", () => {
  /** Nodes that all see the same members; each beats when it is told, and messages arrive at once. */
  class Ring {
    readonly relays = new Map<string, Relay>();
    readonly words = new Map<string, Map<string, number>>();
    readonly beats = new Map<string, number>();
    readonly ids: readonly RelayMember[];
    isLost: (from: string, to: string) => boolean = () => false;

    constructor(size: number, vouched: (by: string, name: string) => number = () => 1) {
      const random = seededRandom(3);
      this.ids = Array.from({ length: size }, (_, i) => ({ id: Math.floor(random.float() * 2 ** 32), name: `m${i}`, storeId: `s${i}`, vouchedIncarnation: 1 })).sort((a, b) => a.id - b.id);
      for (const { id, name } of this.ids) {
        const relay = new Relay();
        relay.setRoster(this.ids.map((member) => ({ ...member, vouchedIncarnation: vouched(name, member.name) })), id);
        this.relays.set(name, relay);
        this.words.set(name, new Map());
      }
    }

    beat(counter: number, nowMs: number): void {
      for (const { id, name } of this.ids) {
        const own = heartbeatOf(1, counter);
        this.beats.set(name, own);
        this.relays.get(name)!.compose(own, nowMs, (to: string, message: RelayMessage) => {
          if (this.isLost(name, to)) return;
          const words = this.words.get(to)!;
          this.relays.get(to)!.take(id, message, nowMs, { sentMs: (heartbeat) => heartbeat & 0xffff, onWord: (of, _storeId, sentMs) => words.set(of, sentMs) });
        });
      }
    }
  }

  it("after a few beats everyone has everyone's word about a heartbeat that is at most four beats old", () => {
    for (const size of [17, 40, 101]) {
      const ring = new Ring(size);
      for (let counter = 1; counter <= 10; counter++) ring.beat(counter, counter * 1000);
      for (const { name } of ring.ids) {
        const words = ring.words.get(name)!;
        expect(words.size, `${name} of ${size}`).to.equal(size - 1);
        for (const sent of words.values()) expect(sent).to.be.at.least(6);
      }
    }
  });

  it("who does not vouch for a member gives no word, whoever relays", () => {
    const ring = new Ring(30, (by, name) => (by === "m3" && name === "m7" ? -1 : 1));
    for (let counter = 1; counter <= 10; counter++) ring.beat(counter, counter * 1000);
    expect(ring.words.get("m7")!.has("m3")).to.equal(false);
    expect(ring.words.get("m7")!.size).to.equal(28);
  });

  it("a heartbeat of an incarnation that is not stored gets no word", () => {
    const ring = new Ring(30, (by, name) => (by === "m3" && name === "m7" ? 0 : 1));
    for (let counter = 1; counter <= 10; counter++) ring.beat(counter, counter * 1000);
    expect(ring.words.get("m7")!.has("m3")).to.equal(false);
  });

  it("words and heartbeats of who fell silent are passed on for 5 s and no longer", () => {
    const ring = new Ring(30);
    for (let counter = 1; counter <= 5; counter++) ring.beat(counter, counter * 1000);
    ring.isLost = (from, to) => from === "m3" || to === "m3";
    for (let counter = 6; counter <= 20; counter++) ring.beat(counter, counter * 1000);
    for (const { name } of ring.ids) if (name !== "m3") expect(ring.words.get(name)!.get("m3") ?? 0).to.be.at.most(5);
  });
});
