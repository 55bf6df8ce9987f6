/**
 * The formats of a member as it announces them, in its entry and in its introduction (links/handshake.ts), as bytes:
 *
 *   formats    for each format, in the order of FORMATS (package ring): u8 the oldest version that it can write, u8 the newest that it reads
 *   promises   u8 for each format
 *
 * Formats of a later build, behind those that this one knows, are kept and passed on, so that the digests of tables agree, and ignored otherwise. An entry without any is of a build from before
 * they were announced.
 */
import type { FormatSupport, MemberFormats } from "@pyromesh/ring";

/** Both in hex, so that entries are compared by ===. */
export interface AnnouncedFormats {
  readonly formats: string;
  /** "": none, or left out: promises are conclusions (table-message.ts). */
  readonly promises: string;
}

/** Bound of both lists. */
export const FORMAT_COUNT_MAX = 32;

export const NO_PROMISES = "";

/** What builds read and write that announce nothing. */
const BEFORE_ANNOUNCEMENTS: MemberFormats = [2, 2, 3, 1, 1].map((version) => ({ writesFrom: version, reads: version, promised: version }));

export function announced(formats: MemberFormats): AnnouncedFormats {
  return {
    formats: Buffer.from(formats.flatMap(({ writesFrom, reads }) => [writesFrom, reads])).toString("hex"),
    promises: Buffer.from(formats.map(({ promised }) => promised)).toString("hex"),
  };
}

/** Nobody changes it: equal announcements give the same object. */
export function formatsOf({ formats, promises }: AnnouncedFormats): MemberFormats {
  if (formats === "") return BEFORE_ANNOUNCEMENTS;
  const key = `${formats} ${promises}`;
  let known = parsed.get(key);
  if (known === undefined) {
    if (parsed.size >= PARSED_MAX) parsed.clear();
    const [ranges, promised] = [Buffer.from(formats, "hex"), Buffer.from(promises, "hex")];
    known = Array.from({ length: ranges.length / 2 }, (_, at): FormatSupport => {
      const [writesFrom, reads] = [ranges[at * 2]!, ranges[at * 2 + 1]!];
      return { writesFrom, reads, promised: Math.min(reads, Math.max(writesFrom, promised[at] ?? 0)) };
    });
    parsed.set(key, known);
  }
  return known;
}

/** A pure function's results: a cluster has a few. At the bound it is emptied. */
const parsed = new Map<string, MemberFormats>();
const PARSED_MAX = 256;

/** The higher promise of each format. */
export function joinPromises(a: string, b: string): string {
  if (a === b || b === NO_PROMISES) return a;
  if (a === NO_PROMISES) return b;
  const [x, y] = [Buffer.from(a, "hex"), Buffer.from(b, "hex")];
  return Buffer.from(Array.from({ length: Math.max(x.length, y.length) }, (_, at) => Math.max(x[at] ?? 0, y[at] ?? 0))).toString("hex");
}

/** Why an announcement is refused; undefined: it is well formed. */
export function faultOfFormats({ formats, promises }: AnnouncedFormats): string | undefined {
  if (!FORMATS_TEXT.test(formats) || !PROMISES_TEXT.test(promises)) return `its versions of formats are no list of at most ${FORMAT_COUNT_MAX}`;
  if (formats === "" && promises !== "") return "it has promised versions, and announces none";
  const [ranges, promised] = [Buffer.from(formats, "hex"), Buffer.from(promises, "hex")];
  for (let at = 0; at * 2 < ranges.length; at++) {
    if (ranges[at * 2]! > ranges[at * 2 + 1]!) return "it writes a version of a format that it does not read";
    if ((promised[at] ?? 0) > ranges[at * 2 + 1]!) return "it has promised a version of a format that it does not read";
  }
  return promised.length * 2 > ranges.length ? "it has promised more formats than it announces" : undefined;
}

const FORMATS_TEXT = new RegExp(`^(?:[0-9a-f]{4}){0,${FORMAT_COUNT_MAX}}$`);
const PROMISES_TEXT = new RegExp(`^(?:[0-9a-f]{2}){0,${FORMAT_COUNT_MAX}}$`);
