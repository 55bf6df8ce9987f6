/**
 * Which version of each format a member writes: the rule that lets members of two versions work together, and that keeps a member out that could not read
 * what is written already. Pure.
 *
 * Each member says, for each format, from which version on it can write it, up to which it reads it, and what it has promised. A promise of version v means:
 * "I acknowledge nobody as a member any more who does not read v". A member
 *
 *   promises   the highest version that everybody reads who is in the cluster: active, leaving, joining, or dead and not forgotten (it may come back)
 *   writes     the highest version that it has promised itself, and that a majority of the full members has promised
 *
 * What must stay true: whoever becomes full reads what anybody writes. A member becomes full when a majority of the full ones has acknowledged it, and two
 * majorities share a member. That one either promised first, and did not acknowledge it; or it acknowledged it first, and did not promise what it does not read.
 *
 * A promise never falls: what was written cannot be unwritten. docs/decisions/0024-rolling-upgrades.md argues for the rule.
 */
/**
 * Append only: the place is the number on the wire. A member that does not know a format reads version 0 of it, so one that is added later is written from
 * version 0 on: there, 0 is to do without it.
 */
export const FORMATS = ["record", "normalisation", "head", "segment", "partial"] as const;
export type Format = (typeof FORMATS)[number];

export interface FormatSupport {
  /** The oldest version that it can write. */
  readonly writesFrom: number;
  /** The newest version that it reads, and can write. It reads all older ones. */
  readonly reads: number;
  /** At least `writesFrom`. */
  readonly promised: number;
}

/** By the place in `FORMATS`. Those of a later build may be more, those of an earlier one fewer. */
export type MemberFormats = readonly FormatSupport[];

/** What the rule needs to know of a member. */
export interface FormatHolder {
  readonly name: string;
  readonly storeId: string;
  /** `MemberState`. One that is joining is not full. */
  readonly state: string;
  readonly formats: MemberFormats;
}

export interface FormatInForce {
  readonly format: Format;
  /** What this node writes. */
  readonly version: number;
  /** What this node may promise; at least what it has promised. */
  readonly promisable: number;
  /** Names of members that do not read the newest version that this node could write, in the order of names. */
  readonly heldBackBy: readonly string[];
}

/** `members`: all that count, `self` among them. `isMajority`: these stores, with this node's own where it is among them, are a majority of the full members. */
export function formatsInForce(self: FormatHolder, members: readonly FormatHolder[], isMajority: (stores: ReadonlySet<string>) => boolean): readonly FormatInForce[] {
  return FORMATS.map((format, at): FormatInForce => {
    const own = supportOf(self.formats, at);
    const ofMajority = highest(members.map(({ formats }) => supportOf(formats, at).promised), (version) => isMajority(storesThat(members, at, version)));
    // One that is joining and can never be acknowledged any more holds nobody back.
    const counted = members.filter(({ formats, state }) => state !== "joining" || supportOf(formats, at).reads >= ofMajority);
    return {
      format,
      version: Math.max(own.writesFrom, Math.min(own.promised, ofMajority)),
      promisable: Math.max(own.promised, readByAll(counted, at, own.reads)),
      heldBackBy: members.filter(({ formats }) => supportOf(formats, at).reads < own.reads).map(({ name }) => name).sort(),
    };
  });
}

/** By format: what all full members read but `besides`, whose entry is to be replaced. */
export function readByFull(self: FormatHolder, members: Iterable<FormatHolder>, besides?: string): readonly number[] {
  const reads = FORMATS.map((_, at) => supportOf(self.formats, at).reads);
  for (const { formats, name, state } of members) {
    if (state === "joining" || name === besides) continue;
    for (let at = 0; at < reads.length; at++) reads[at] = Math.min(reads[at]!, supportOf(formats, at).reads);
  }
  return reads;
}

/** Why a node with `theirs` may not become, or stay, a member beside one with `own`, in words that go on after "it"; undefined: it may. `readByOthers`: of `readByFull`; undefined: of a full member, which has promised nothing that another one does not read. */
export function formatsApart(own: MemberFormats, readByOthers: readonly number[] | undefined, theirs: MemberFormats): string | undefined {
  for (const [at, format] of FORMATS.entries()) {
    const { promised, reads } = supportOf(theirs, at);
    const ownPromised = supportOf(own, at).promised;
    if (reads < ownPromised) return `reads ${format} up to version ${reads}, and version ${ownPromised} is written by the other members, or may be at any time: it needs a newer build`;
    const readable = readByOthers?.[at];
    if (readable !== undefined && promised > readable) return `writes ${format} of version ${promised} or may have, and not every other member reads more than version ${readable}: they need a newer build, one after the other, before it joins`;
  }
  return undefined;
}

const UNKNOWN_FORMAT: FormatSupport = { writesFrom: 0, reads: 0, promised: 0 };

export function supportOf(formats: MemberFormats, at: number): FormatSupport {
  return formats[at] ?? UNKNOWN_FORMAT;
}

function readByAll(members: readonly FormatHolder[], at: number, ownReads: number): number {
  return members.reduce((least, { formats }) => Math.min(least, supportOf(formats, at).reads), ownReads);
}

/** 0: none. */
function highest(versions: readonly number[], isEnough: (version: number) => boolean): number {
  return [...new Set(versions)].sort((a, b) => b - a).find(isEnough) ?? 0;
}

function storesThat(members: readonly FormatHolder[], at: number, promised: number): ReadonlySet<string> {
  return new Set(members.filter(({ formats }) => supportOf(formats, at).promised >= promised).map(({ storeId }) => storeId));
}
