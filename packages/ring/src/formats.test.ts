import { expect } from "chai";
import fc from "fast-check";
import type { MemberState, StoreId } from "./cluster-view.ts";
import { formatsApart, formatsInForce, FORMATS, readByFull, type FormatHolder, type FormatSupport } from "./formats.ts";
import { majorityOf } from "./quorum.ts";
import { testMember } from "./testing/ring-members.ts";

/** One that reads records up to `reads`. Of the other formats it reads version 1, as all do here. */
function holder(name: string, record: Partial<FormatSupport> & { readonly reads: number }, state: MemberState = "active"): FormatHolder {
  const rest = FORMATS.slice(1).map((): FormatSupport => ({ writesFrom: 1, reads: 1, promised: 1 }));
  return testMember(name, { state, formats: [{ writesFrom: 1, promised: 1, ...record }, ...rest] });
}

/** Of those that are not joining. */
const majorityIn = (members: readonly FormatHolder[]) => (stores: ReadonlySet<StoreId>): boolean => {
  const full = members.filter(({ state }) => state !== "joining");
  return full.filter(({ storeId }) => stores.has(storeId)).length >= majorityOf(full.length);
};

const apart = (self: FormatHolder, members: readonly FormatHolder[], other: FormatHolder): string | undefined => formatsApart(self.formats, readByFull(self, members, other.name), other.formats);
const recordAt = (self: FormatHolder, members: readonly FormatHolder[]): ReturnType<typeof formatsInForce>[number] => formatsInForce(self, members, majorityIn(members))[0]!;

describe("formats: which version is written", () => {
  const a = holder("a", { reads: 2 });
  const b = holder("b", { reads: 2 });

  it("the newest that one node alone reads, once it has promised it", () => {
    expect(recordAt(a, [a])).to.deep.include({ version: 1, promisable: 2, heldBackBy: [] });
    const promised = holder("a", { reads: 2, promised: 2 });
    expect(recordAt(promised, [promised])).to.deep.include({ version: 2, promisable: 2 });
  });

  for (const state of ["active", "leaving", "joining", "dead"] as const) {
    it(`a member that is ${state} and does not read it holds it back, and is named`, () => {
      expect(recordAt(a, [a, b, holder("c", { reads: 1 }, state)])).to.deep.include({ version: 1, promisable: 1, heldBackBy: ["c"] });
    });
  }

  it("the newest version that was promised by this node and by a majority, and no newer one", () => {
    const members = [holder("a", { reads: 3, promised: 3 }), holder("b", { reads: 3, promised: 2 }), holder("c", { reads: 3 })];
    expect(recordAt(members[0]!, members).version).to.equal(2);
    expect(recordAt(members[1]!, members).version).to.equal(2);
    expect(recordAt(members[2]!, members).version).to.equal(1);
    expect(recordAt(members[2]!, members).promisable).to.equal(3);
  });

  it("a promise does not fall, whoever is there now", () => {
    const promised = holder("a", { reads: 2, promised: 2 });
    expect(recordAt(promised, [promised, holder("c", { reads: 1 }, "joining")])).to.deep.include({ version: 2, promisable: 2 });
  });

  it("who can never be acknowledged any more holds nobody back", () => {
    const members = [holder("a", { reads: 2, promised: 2 }), holder("b", { reads: 2, promised: 2 }), holder("c", { reads: 2 }), holder("old", { reads: 1 }, "joining")];
    expect(recordAt(members[2]!, members)).to.deep.include({ promisable: 2 });
  });

  it("a member of an earlier build, which does not know a format, holds it back at version 0", () => {
    const own = testMember("a", { formats: FORMATS.map(() => ({ writesFrom: 0, reads: 1, promised: 0 })) });
    const older = testMember("b", { formats: own.formats.slice(0, -1) });
    const last = formatsInForce(own, [own, older], majorityIn([own, older])).at(-1)!;
    expect(last).to.deep.include({ version: 0, promisable: 0, heldBackBy: ["b"] });
  });
});

describe("formats: who may be a member", () => {
  const a = holder("a", { reads: 2 });

  it("one that reads less than was promised may not, and the sentence says why", () => {
    const promised = holder("a", { reads: 2, promised: 2 });
    expect(apart(promised, [promised], holder("old", { reads: 1 }))).to.match(/^reads record up to version 1, and version 2 is written .*: it needs a newer build$/);
    expect(apart(a, [a], holder("old", { reads: 1 }))).to.equal(undefined);
  });

  it("one whose data may hold what a member does not read may not, also where that member is dead", () => {
    const grown = holder("new", { reads: 3, promised: 3 });
    expect(apart(a, [a], grown)).to.match(/^writes record of version 3 or may have, and not every other member reads more than version 2: /);
    const own = holder("a", { reads: 3 });
    expect(apart(own, [own, holder("b", { reads: 2 }, "dead")], grown)).to.match(/^writes record of version 3/);
    expect(apart(own, [own, holder("b", { reads: 3 }, "dead")], grown)).to.equal(undefined);
  });

  it("a member that comes back as a newer build is not measured by what it was", () => {
    const own = holder("a", { reads: 2 });
    expect(apart(own, [own, holder("b", { reads: 1 })], holder("b", { writesFrom: 2, reads: 2, promised: 2 }))).to.equal(undefined);
  });
});

/**
 * Nodes that hear of each other late, in any order: each has a view of its own, of which it may lack anybody. `c` is an older build that joins meanwhile.
 */
describe("formats: whoever is full reads what anybody writes", () => {
  interface Node {
    readonly name: string;
    readonly reads: number;
    isFull: boolean;
    promised: number;
    /** By name: what it knows of the others. */
    readonly knows: Map<string, { promised: number; isFull: boolean }>;
    readonly acknowledgedBy: Set<string>;
  }
  const NAMES = ["a", "b", "c", "d", "old"];
  const steps = fc.array(fc.record({ kind: fc.constantFrom("hear", "promise", "acknowledge", "claim"), node: fc.nat(4), other: fc.nat(4) }), { maxLength: 80 });

  const run = (history: readonly { readonly kind: string; readonly node: number; readonly other: number }[], { isPromiseNeeded }: { readonly isPromiseNeeded: boolean }): string | undefined => {
    const nodes = NAMES.map((name): Node => ({ name, reads: name === "old" ? 1 : 2, isFull: name !== "old", promised: 1, knows: new Map(), acknowledgedBy: new Set() }));
    for (const node of nodes) for (const name of NAMES) if (name !== "old" || node.name === "old") node.knows.set(name, { promised: 1, isFull: name !== "old" });
    const viewOf = (node: Node): FormatHolder[] =>
      nodes.filter(({ name }) => name === node.name || node.knows.has(name)).map(({ name, reads }) => {
        const { isFull, promised } = name === node.name ? node : node.knows.get(name)!;
        return holder(name, { reads, promised }, isFull ? "active" : "joining");
      });
    for (const { kind, node: at, other: otherAt } of history) {
      const [node, other] = [nodes[at]!, nodes[otherAt]!];
      if (node === other) continue;
      const view = viewOf(node);
      const self = view.find(({ name }) => name === node.name)!;
      if (kind === "hear") {
        for (const [name, { isFull, promised }] of [...other.knows, [other.name, other] as const]) {
          const known = node.knows.get(name);
          if (name !== node.name) node.knows.set(name, { promised: Math.max(promised, known?.promised ?? 1), isFull: isFull || (known?.isFull ?? false) });
        }
      } else if (kind === "promise" && node.isFull) {
        node.promised = formatsInForce(self, view, majorityIn(view))[0]!.promisable;
      } else if (kind === "acknowledge" && node.isFull && !other.isFull && node.knows.has(other.name)) {
        if (apart(self, view, view.find(({ name }) => name === other.name)!) === undefined) other.acknowledgedBy.add(node.name);
      } else if (kind === "claim" && !node.isFull) {
        node.isFull = node.acknowledgedBy.size >= majorityOf(NAMES.length - 1);
      }
      const versions = nodes.map((each) => {
        const seen = viewOf(each);
        const own = seen.find(({ name }) => name === each.name)!;
        return formatsInForce(own, seen, isPromiseNeeded ? majorityIn(seen) : () => true)[0]!.version;
      });
      if (nodes.some(({ isFull, reads }) => isFull && reads < Math.max(...versions))) return `${versions.join()} after ${kind}`;
    }
    return undefined;
  };

  it("whatever each has heard, and in whatever order", () => {
    fc.assert(fc.property(steps, (history) => run(history, { isPromiseNeeded: true }) === undefined), { numRuns: 2000 });
  });

  it("and not where a node's own promise is enough: so the majority is needed", () => {
    const history = [
      { kind: "promise", node: 0, other: 1 },
      ...[1, 2, 3].flatMap((node) => [{ kind: "hear", node, other: 4 }, { kind: "acknowledge", node, other: 4 }]),
      { kind: "claim", node: 4, other: 0 },
    ];
    expect(run(history, { isPromiseNeeded: false })).to.not.equal(undefined);
    expect(run(history, { isPromiseNeeded: true })).to.equal(undefined);
  });
});
