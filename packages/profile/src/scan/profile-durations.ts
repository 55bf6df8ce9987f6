/**
 * The sum of the durations of the profiles in an answer. Each profile counts once, whichever of its rows were merged.
 *
 * As everywhere, a row without a profile id is a profile of its own and need not be remembered. Rows with the same profile id and time are
 * one profile (scan-profiles.ts), in whatever workers and segments they lie.
 */
import type { DatasetView } from "../dataset/dataset.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import type { Int64 } from "../model/results.ts";
import { ProfileTable } from "./scan-profiles.ts";
import type { PartialProfiles } from "./scan-profiles.ts";

export interface PartialDurations {
  /** The sum over rows without a profile id. */
  readonly ownNs: bigint;
  /** The profiles that may be several rows, each with its duration. */
  readonly profiles: PartialProfiles;
}

export class ProfileDurations {
  #ownNs = 0n;
  /** Rows of one push have the same duration. Where a client gives two pushes one id and time, the longer counts, so that the order does not matter. */
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

  /** Shares its columns, so nothing may be added afterwards. */
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
