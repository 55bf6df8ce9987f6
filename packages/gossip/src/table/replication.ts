/**
 * Replication in force (design 5.6): under how many acks records are taken, and when that may rise.
 *
 *   declared   what this node's entry stands for: it takes nothing under fewer acks. It rises, and never falls while the node runs
 *   wished     max(--replication, the bucket's): a member that was started with a higher setting raised the bucket's value, and the others follow it
 *   target     min(wished, members or join addresses, whichever are more)
 *
 * So a node is below the bucket's value only where it knows too few members, or until what it holds under fewer acks is flushed.
 *
 * A rise is in this order: (1) pushes name `target` stores as soon as so many members are full: more acks than declared harm nobody. (2) What is held under
 * fewer acks is flushed. (3) The target stands in the bucket. (4) It is declared, and readers that learn of it list the bucket first: they count on
 * more acks from then on, and what was taken under fewer is in the bucket.
 */
export class Replication {
  readonly #configured: number;
  readonly #joinAddressCount: number;
  #declared: number;
  #bucket: number | undefined;
  /** The fewest acks under which the store holds anything that is not flushed; Infinity: it holds nothing. */
  #held: number;

  constructor(options: {
    readonly configured: number;
    readonly joinAddressCount: number;
    /** The last of this data directory; undefined: it is fresh. */
    readonly declared: number | undefined;
    readonly bucket: number | undefined;
    readonly held: number;
  }) {
    this.#configured = options.configured;
    this.#joinAddressCount = options.joinAddressCount;
    this.#bucket = options.bucket;
    this.#declared = Math.min(this.#wished, options.declared ?? options.joinAddressCount);
    this.#held = options.held;
  }

  get declared(): number {
    return this.#declared;
  }

  /** `--replication` of this node. */
  get configured(): number {
    return this.#configured;
  }

  /** The bucket's value is not declared yet: what is held under fewer acks is being flushed, or too few members are known. */
  get isRising(): boolean {
    return this.#bucket !== undefined && this.#declared < this.#bucket;
  }

  get #wished(): number {
    return Math.max(this.#configured, this.#bucket ?? 0);
  }

  /** What the bucket was seen to hold last; undefined: it was never read. */
  get bucket(): number | undefined {
    return this.#bucket;
  }

  /** What this store's entry says: it neither holds nor takes anything under fewer acks. */
  get acksHeld(): number {
    return Math.min(acksOf(this.#declared), this.#held);
  }

  target(memberCount: number): number {
    return Math.min(this.#wished, Math.max(memberCount, this.#joinAddressCount));
  }

  /** How many stores a push names. `fullCount`: members that take records. */
  ofPush(memberCount: number, fullCount: number): number {
    return Math.max(this.#declared, Math.min(this.target(memberCount), fullCount));
  }

  get held(): number {
    return this.#held;
  }

  noteHeld(acks: number): void {
    this.#held = acks;
  }

  /** What the bucket holds now: it may be lower than before, by an operator's word. */
  noteBucket(replication: number): void {
    if (this.#bucket !== undefined && replication < this.#bucket) this.#declared = Math.min(this.#declared, Math.max(replication, 1));
    this.#bucket = replication;
  }

  /** What the bucket should hold and does not: put it there, then say so by `noteBucket`. */
  wanted(memberCount: number, mayRise: (held: number, acks: number) => boolean): number | undefined {
    if (this.#bucket === undefined) return undefined;
    const target = this.target(memberCount);
    const wanted = target > this.#declared && mayRise(this.#held, acksOf(target)) ? target : this.#declared;
    return wanted > this.#bucket ? wanted : undefined;
  }

  /** Declares the target where nothing stands against it. Returns whether it rose. */
  rise(memberCount: number, mayRise: (held: number, acks: number) => boolean): boolean {
    const target = this.target(memberCount);
    if (target <= this.#declared || !mayRise(this.#held, acksOf(target))) return false;
    if (this.#bucket === undefined || this.#bucket < target) return false;
    this.#declared = target;
    return true;
  }

  /**
   * In words that end a sentence; undefined: pushes are taken. `ofPush`: how many stores a push names now. It decides, and not what is declared: while a node that
   * was alone flushes what it took alone, its pushes are as safe as those of the members that raised the bucket's value.
   */
  refusal(ofPush: number): string | undefined {
    if (this.#bucket === undefined) return "it has not yet read which replication stands in the bucket";
    if (ofPush < this.#bucket) {
      return `its replication is ${ofPush} and the bucket's ${this.#bucket}: it knows too few active members (--join), or where no more are left the bucket's is to be lowered (pyromesh bucket replication)`;
    }
    if (this.#declared > this.#bucket) return `its replication of ${this.#declared} is not in the bucket yet`;
    return undefined;
  }
}

/** The majority of so many stores: under so many acks is a record held. */
export function acksOf(replication: number): number {
  return Math.floor(replication / 2) + 1;
}
