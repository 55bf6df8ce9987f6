/**
 * How long the profiles of an answer took, together: each profile once, whichever of its rows were merged.
 *
 * As everywhere, a row without a profile id is a profile of its own and need not be remembered; rows with one are one profile
 * by id and time (scan-profiles.ts), in whatever workers and segments they lie.
 */
import type { DatasetView } from "../dataset/dataset.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import type { Int64 } from "../model/results.ts";
import { ProfileTable } from "./scan-profiles.ts";
import type { PartialProfiles } from "./scan-profiles.ts";

export interface PartialDurations {
  /** Of profiles that are one row. */
  readonly ownNs: bigint;
  /** Of those that may be several: a duration each. */
  readonly profiles: PartialProfiles;
}

export class ProfileDurations {
  #ownNs = 0n;
  /** Rows of one push agree; where a client gives two pushes one id and time the longer counts, so that any order agrees. */
  readonly #profiles = new ProfileTable((a, b) => (a >= b ? a : b));
  readonly #noLabels = this.#profiles.labelSet([]);

  addRow(view: DatasetView, row: number): void {
    const durationNs = view.durationNs(row);
    if (durationNs === 0n) return;
    const profileId = view.profileId(row);
    if (profileId === undefined) this.#ownNs += durationNs;
    else this.#profiles.add(profileId, undefined, Number(view.rowTimeNs[row]! / 1_000_000n), toInt64(durationNs), this.#noLabels);
  }

  addAll({ ownNs, profiles }: PartialDurations, interrupt: Interrupt = UNINTERRUPTED): void {
    this.#ownNs += ownNs;
    this.#profiles.addAll(profiles, interrupt);
  }

  /** Shares its columns: add no more afterwards. */
  partial(): PartialDurations {
    return { ownNs: this.#ownNs, profiles: this.#profiles.partial() };
  }

  totalNs(): bigint {
    let totalNs = this.#ownNs;
    for (let i = 0; i < this.#profiles.count; i++) totalNs += BigInt(this.#profiles.value(i));
    return totalNs;
  }
}

function toInt64(value: bigint): Int64 {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
