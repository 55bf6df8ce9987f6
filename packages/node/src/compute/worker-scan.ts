/** One query over what a worker holds of it: datasets in memory and in segments, each record once, into one partial answer. */
import { SegmentDataset } from "@pyromesh/block/segment";
import type { DatasetView, Interrupt, MergedNodes, RowQuery } from "@pyromesh/profile";
import {
  Cardinality,
  HeatmapCollector,
  IdentitySet,
  LabelListing,
  LocationTreeMerger,
  locationTreeOf,
  makeMatcher,
  mergeNodes,
  NameTreeBuilder,
  nameTreeOf,
  PointsCollector,
  ProfileDurations,
} from "@pyromesh/profile";
import type { ByPlace, PlainMatcher, PlainRowQuery, ScanPartial, ScanTask } from "./compute.ts";

export class WorkerScan {
  readonly #task: ScanTask;
  readonly #interrupt: Interrupt;
  readonly #query: RowQuery | undefined;
  readonly #selectors: (readonly ReturnType<typeof makeMatcher>[])[] = [];
  readonly #seen: IdentitySet;
  /** Tells which records a listing leaves out; it is `#seen`. Undefined: none. */
  readonly #except: IdentitySet | undefined;
  readonly #names: NameTreeBuilder | undefined;
  readonly #locations: LocationTreeMerger | undefined;
  readonly #points: PointsCollector | undefined;
  readonly #heatmap: HeatmapCollector | undefined;
  readonly #listing: LabelListing | undefined;
  readonly #durations = new ProfileDurations();
  #period = 0n;
  #hasLocations = false;
  readonly #cardinality: ByPlace<Cardinality> | undefined;

  constructor(task: ScanTask, interrupt: Interrupt) {
    this.#task = task;
    this.#interrupt = interrupt;
    const { spec, except, only } = task;
    this.#seen = new IdentitySet({ except, only });
    this.#except = except === undefined && only === undefined ? undefined : this.#seen;
    if (spec.kind === "listing" || spec.kind === "cardinality") {
      this.#selectors = spec.selectors.map((selector) => selector.map(toMatcher));
      if (spec.kind === "listing") this.#listing = new LabelListing(spec.listing, spec.bounds);
      if (spec.kind === "cardinality") this.#cardinality = { segments: new Cardinality(), head: new Cardinality() };
    } else {
      this.#query = toRowQuery(spec.query);
      if (spec.kind === "names") this.#names = new NameTreeBuilder();
      if (spec.kind === "locations") this.#locations = new LocationTreeMerger();
      if (spec.kind === "points") this.#points = new PointsCollector(spec.shape);
      if (spec.kind === "heatmap") this.#heatmap = new HeatmapCollector(spec.shape);
    }
  }

  /** Views may come in any order: a record that lies in several counts in the one that is read first. */
  read(view: DatasetView): void {
    const { spec } = this.#task;
    const interrupt = this.#interrupt;
    interrupt.now(); // opening sections takes long as well
    switch (spec.kind) {
      case "listing":
        this.#listing!.scan(view, spec, this.#selectors, interrupt, this.#except);
        break;
      case "cardinality":
        this.#cardinality![view instanceof SegmentDataset ? "segments" : "head"].scan(view, spec, this.#selectors, this.#seen, interrupt);
        break;
      case "points":
        this.#points!.scan(view, this.#query!, this.#seen, interrupt);
        break;
      case "heatmap":
        this.#heatmap!.scan(view, this.#query!, this.#seen, interrupt);
        break;
      case "names": {
        // Segments keep their stacktraces by name as well, which is much less to open. Stacktraces of rows in memory are named here.
        const named = view instanceof SegmentDataset ? view.byName : view;
        const merged = this.#merge(named);
        if (merged !== undefined) this.#names!.add(nameTreeOf(named, merged.self, interrupt), interrupt);
        break;
      }
      case "locations": {
        const merged = this.#merge(view, this.#durations);
        if (merged === undefined) break;
        this.#locations!.add(locationTreeOf(view, merged.self, interrupt), interrupt);
        this.#hasLocations = true;
        break;
      }
    }
  }

  #merge(view: DatasetView, durations?: ProfileDurations): MergedNodes | undefined {
    const merged = mergeNodes(view, this.#query!, this.#seen, durations, this.#interrupt);
    if (merged.rowCount === 0) return undefined;
    this.#period = merged.period;
    return merged;
  }

  partial(): ScanPartial {
    return {
      recordCount: this.#seen.count,
      identitySum: this.#seen.sumHex(),
      names: this.#seen.count > 0 ? this.#names?.result() : undefined,
      locations: this.#hasLocations ? this.#locations?.result() : undefined,
      durations: this.#hasLocations ? this.#durations.partial() : undefined,
      period: this.#period,
      points: this.#points?.partial() ?? [],
      heatmap: this.#heatmap?.partial() ?? [],
      listing: this.#listing?.partial(),
      cardinality: this.#cardinality === undefined ? undefined : { segments: this.#cardinality.segments.partial(), head: this.#cardinality.head.partial() },
    };
  }
}

function toMatcher({ name, operator, value }: PlainMatcher): ReturnType<typeof makeMatcher> {
  return makeMatcher(name, operator, value);
}

function toRowQuery(query: PlainRowQuery): RowQuery {
  return { ...query, selector: query.selector.map(toMatcher) };
}
