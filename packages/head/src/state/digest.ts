/**
 * What a set of records comes to, series by series: how many there are, and the sum of their identities modulo 2^128. Pure.
 *
 * Two stores that hold the same records of a series say the same, in whatever order they took them in. The sum is the receipt's
 * (`IdentitySet` of the profile package): an identity is four little-endian words, the first one the least significant.
 */
export interface SeriesDigest {
  readonly count: number;
  /** 32 lower-case hex digits. */
  readonly identitySum: string;
}

export class DigestFold {
  readonly #series = new Map<bigint, SeriesSum>();

  /** The four words of the record's identity. */
  add(fingerprint: bigint, a: number, b: number, c: number, d: number): void {
    let sum = this.#series.get(fingerprint);
    if (sum === undefined) this.#series.set(fingerprint, (sum = new SeriesSum()));
    sum.add(a, b, c, d);
  }

  /** The digest of each series, by fingerprint. */
  finish(): ReadonlyMap<bigint, SeriesDigest> {
    return new Map(Array.from(this.#series, ([fingerprint, sum]) => [fingerprint, { count: sum.count, identitySum: sum.hex }]));
  }
}

class SeriesSum {
  count = 0;
  readonly #words = new Uint32Array(4);

  add(a: number, b: number, c: number, d: number): void {
    this.count++;
    const words = this.#words;
    let total = words[0]! + a;
    words[0] = total;
    total = words[1]! + b + (total >= WORD ? 1 : 0);
    words[1] = total;
    total = words[2]! + c + (total >= WORD ? 1 : 0);
    words[2] = total;
    words[3] = words[3]! + d + (total >= WORD ? 1 : 0);
  }

  get hex(): string {
    return [...this.#words].reverse().map((word) => word.toString(16).padStart(8, "0")).join("");
  }
}

const WORD = 2 ** 32;
