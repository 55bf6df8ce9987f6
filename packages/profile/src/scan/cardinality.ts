/**
 * Cardinality: how many series, profiles and samples answer a question. A record counts once, in however many views
 * it is found; a profile counts once, however many records it is (scan-profiles.ts).
 */
import type { DatasetView } from "../dataset/dataset.ts";
import type { IdentitySet } from "./identity-set.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { ROW_STEPS, SERIES_STEPS, UNINTERRUPTED } from "../model/interrupt.ts";
import { LabelListing } from "./label-listing.ts";
import type { Labels } from "../labels/labels.ts";
import { seriesSteps } from "../selector/matcher.ts";
import type { Matcher } from "../selector/matcher.ts";
import { seriesMatching } from "./scan.ts";
import type { TimeRange } from "./scan.ts";
import { ProfileTable } from "./scan-profiles.ts";
import type { PartialProfiles } from "./scan-profiles.ts";

export interface Counts {
  readonly seriesCount: number;
  readonly profileCount: number;
  readonly sampleCount: number;
}

export interface PartialCardinality {
  /** The partial of a `LabelListing` of whole label sets. */
  readonly series: Uint8Array;
  /** How many profiles are surely one row, having no profile id. */
  readonly ownCount: number;
  /** The profiles that may be several rows. */
  readonly profiles: PartialProfiles;
  readonly sampleCount: number;
}

export class Cardinality {
  readonly #series = new LabelListing({ kind: "series", names: [], alphabet: "utf8" }, { entryCountMax: 0, bytesMax: 0 });
  readonly #profiles = new ProfileTable();
  readonly #noLabels = this.#profiles.labelSet([]);
  #ownCount = 0;
  #sampleCount = 0;

  /** Counts every row in range that matches one of the selectors (none: any row) and is not in `seen`, and adds it there. */
  scan(view: DatasetView, range: TimeRange, selectors: readonly (readonly Matcher[])[], seen: IdentitySet, interrupt: Interrupt = UNINTERRUPTED): void {
    const steps = seriesSteps(selectors);
    const matching = view.series.map((entry) => {
      interrupt.after(steps);
      return seriesMatching(entry, selectors);
    });
    const isLive = new Uint8Array(view.series.length);
    for (let row = 0; row < view.rowCount; row++) {
      const timeNs = view.rowTimeNs[row]!;
      const series = view.rowSeries[row]!;
      interrupt.after(1);
      if (timeNs < range.startNs || timeNs > range.endNs || matching[series]!.length === 0) continue;
      if (!seen.add(view.identities, row * 16)) continue;
      interrupt.after(ROW_STEPS);
      isLive[series] = 1;
      this.#sampleCount += view.sampleCount(row);
      const profileId = view.profileId(row);
      if (profileId === undefined) this.#ownCount++;
      else this.#profiles.add(profileId, undefined, Number(timeNs / 1_000_000n), 0, this.#noLabels);
    }
    for (const [index, labelSets] of matching.entries()) {
      interrupt.after(SERIES_STEPS);
      if (isLive[index] === 1) this.#addSeries(labelSets);
    }
  }

  add({ series, ownCount, profiles, sampleCount }: PartialCardinality, interrupt: Interrupt = UNINTERRUPTED): void {
    this.#series.add(series, interrupt);
    this.#profiles.addAll(profiles, interrupt);
    this.#ownCount += ownCount;
    this.#sampleCount += sampleCount;
  }

  /** Shares its columns, so nothing may be added afterwards. */
  partial(): PartialCardinality {
    return { series: this.#series.partial(), ownCount: this.#ownCount, profiles: this.#profiles.partial(), sampleCount: this.#sampleCount };
  }

  counts(): Counts {
    return { seriesCount: this.#series.entryCount, profileCount: this.#ownCount + this.#profiles.count, sampleCount: this.#sampleCount };
  }

  #addSeries(series: readonly Labels[]): void {
    for (const labels of series) this.#series.addLabels(labels);
  }
}
