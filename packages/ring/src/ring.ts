/**
 * The ring: the tokens of all members that may own records, in order. The owner of a point is the member of the first token after it.
 *
 *        token a1   token b1        token a2
 *   0 ------|----------|---------------|------ 2^32
 *        ...a   b...b    a ... a   a1 again: the ring is closed
 *
 * A ring is a value: it never changes but for what it remembers of lookups (`runs`). Another set of members is another ring.
 *
 * What must stay true: equal members give equal rings, in whatever order they come. Two members with the same token: the one with the smaller
 * name keeps it.
 */
import { assert } from "@pyromesh/base";
import type { RingMember } from "./ring-member.ts";
import { RunMemo } from "./run-memo.ts";
import { tokensOf } from "./tokens.ts";

/** A point is a token times 2^14 and its member's index: it sorts as a double, and a double holds it exactly. */
const INDEX_BITS = 14;
const RING_MEMBERS_MAX: number = 2 ** INDEX_BITS;
const TOKEN_SPACE = 2 ** 32;

export class Ring {
  /** By name. An index of a member is its place here. */
  readonly members: readonly RingMember[];
  /** By name; one, mostly "", where zones are not configured. */
  readonly zones: readonly string[];
  /** Of each member: the index of its zone. */
  readonly zoneOf: Uint16Array;
  readonly runs: RunMemo = new RunMemo();
  readonly #points: Float64Array;
  /** Points of tokens that another member keeps: they count where that one goes. About two in a ring of 1,000 members. */
  readonly #yielded: Float64Array;

  private constructor(members: readonly RingMember[], before: Ring | undefined) {
    this.members = members;
    this.zones = [...new Set(members.map(({ zone }) => zone))].sort();
    this.zoneOf = Uint16Array.from(members, ({ zone }) => this.zones.indexOf(zone));
    const { points, yielded } = withoutTwins(pointsOf(members, before === undefined ? undefined : { members: before.members, points: before.#points, yielded: before.#yielded }));
    this.#points = points;
    this.#yielded = yielded;
  }

  /**
   * Each name once. `before`: any ring; the tokens of members that are in both are not derived and sorted again, so that a change of one in 1,000 members costs
   * two passes over the points and not their sorting.
   */
  static of(members: readonly RingMember[], before?: Ring): Ring {
    assert(members.length <= RING_MEMBERS_MAX, "the ring has too many members");
    const byName = members
      .map(({ name, storeId, zone, tokenCount }) => ({ name, storeId, zone, tokenCount }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return new Ring(byName, before);
  }

  get tokenCount(): number {
    return this.#points.length;
  }

  /** The place of the first token after `token`; the ring's first where there is none. */
  placeAfter(token: number): number {
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (tokenOf(this.#points[middle]!) > token) high = middle;
      else low = middle + 1;
    }
    return low === this.#points.length ? 0 : low;
  }

  /** The index of the member that owns the token at this place. */
  memberAt(place: number): number {
    return this.#points[place]! % RING_MEMBERS_MAX;
  }

  tokenAt(place: number): number {
    return tokenOf(this.#points[place]!);
  }

  /** Of each member: which part of all points it is the owner of. */
  shares(): number[] {
    const shares = new Array<number>(this.members.length).fill(0);
    let before = this.#points.length === 0 ? 0 : this.tokenAt(this.#points.length - 1) - TOKEN_SPACE;
    for (let place = 0; place < this.#points.length; place++) {
      const token = this.tokenAt(place);
      shares[this.memberAt(place)]! += (token - before) / TOKEN_SPACE;
      before = token;
    }
    return shares;
  }
}

interface RingPoints {
  readonly members: readonly RingMember[];
  readonly points: Float64Array;
  readonly yielded: Float64Array;
}

/** In order, tokens that two have among them. */
function pointsOf(members: readonly RingMember[], before: RingPoints | undefined): Float64Array {
  const indexOf = new Map(before?.members.map(({ name }, index) => [name, index]));
  // By the index that a member had before: its index now; -1: it is gone. Both go by name, so what stays keeps its order.
  const indexNow = new Int32Array(indexOf.size).fill(-1);
  const derived: number[] = [];
  for (const [index, { name, zone, tokenCount }] of members.entries()) {
    const at = indexOf.get(name);
    const known = at === undefined ? undefined : before?.members[at];
    if (at !== undefined && known?.zone === zone && known.tokenCount === tokenCount) indexNow[at] = index;
    else for (const token of tokensOf(name, zone, tokenCount)) derived.push(token * RING_MEMBERS_MAX + index);
  }
  const again = moved(before?.yielded ?? NO_POINTS, indexNow);
  const others = new Float64Array(derived.length + again.length);
  others.set(derived);
  others.set(again, derived.length);
  return merged(moved(before?.points ?? NO_POINTS, indexNow), others.sort());
}

/** The points of members that stay, under their new indices. */
function moved(points: Float64Array, indexNow: Int32Array): Float64Array {
  const kept = new Float64Array(points.length);
  let count = 0;
  for (const point of points) {
    const index = indexNow[point % RING_MEMBERS_MAX]!;
    if (index >= 0) kept[count++] = tokenOf(point) * RING_MEMBERS_MAX + index;
  }
  return kept.subarray(0, count);
}

function merged(a: Float64Array, b: Float64Array): Float64Array {
  const all = new Float64Array(a.length + b.length);
  let [atA, atB] = [0, 0];
  for (let at = 0; at < all.length; at++) all[at] = atB === b.length || (atA < a.length && a[atA]! < b[atB]!) ? a[atA++]! : b[atB++]!;
  return all;
}

/** A token that two have is kept by the first: its index is smaller, as its name is. */
function withoutTwins(sorted: Float64Array): Pick<RingPoints, "points" | "yielded"> {
  const points = new Float64Array(sorted.length);
  const yielded: number[] = [];
  let count = 0;
  let last = -1;
  for (const point of sorted) {
    const token = tokenOf(point);
    if (token === last) yielded.push(point);
    else points[count++] = point;
    last = token;
  }
  return { points: points.slice(0, count), yielded: Float64Array.from(yielded) };
}

const NO_POINTS = new Float64Array(0);

function tokenOf(point: number): number {
  return Math.floor(point / RING_MEMBERS_MAX);
}
