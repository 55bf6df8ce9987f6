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

  private constructor(members: readonly RingMember[]) {
    this.members = members;
    this.zones = [...new Set(members.map(({ zone }) => zone))].sort();
    this.zoneOf = Uint16Array.from(members, ({ zone }) => this.zones.indexOf(zone));
    this.#points = sortedPoints(members);
  }

  /** Each name once. */
  static of(members: readonly RingMember[]): Ring {
    assert(members.length <= RING_MEMBERS_MAX, "the ring has too many members");
    const byName = members
      .map(({ name, storeId, zone, tokenCount }) => ({ name, storeId, zone, tokenCount }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return new Ring(byName);
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

function sortedPoints(members: readonly RingMember[]): Float64Array {
  const points = new Float64Array(members.reduce((sum, { tokenCount }) => sum + tokenCount, 0));
  let count = 0;
  for (const [index, { name, zone, tokenCount }] of members.entries()) {
    for (const token of tokensOf(name, zone, tokenCount)) points[count++] = token * RING_MEMBERS_MAX + index;
  }
  points.sort();
  // A token that two have is kept by the first: its index is smaller, as its name is.
  let kept = 0;
  for (const point of points) {
    if (kept === 0 || tokenOf(point) !== tokenOf(points[kept - 1]!)) points[kept++] = point;
  }
  return points.slice(0, kept);
}

function tokenOf(point: number): number {
  return Math.floor(point / RING_MEMBERS_MAX);
}
