/**
 * The gate on new versions: which version of each format this node writes now, by the rule of formats.ts (package ring). Every writer of bytes that have a
 * version asks it: the write path (records), the flush (segments), answers to other members' queries (partial answers).
 *
 * When everybody in the cluster reads a newer version, this node promises it, in this order:
 *
 *   1. the data directory says that it may hold it (file `format` of package head): an earlier build refuses the directory from then on
 *   2. its entry says that it has promised, on disk before it is told
 *   3. it writes that version once a majority of the full members has promised it
 *
 * A step that fails is tried again, at the next change of the view and after RETRY_MS. Until then the older version is written, which everybody reads.
 */
import type { Clock, Gauge, Logger, Metrics, Timer } from "@pyromesh/base";
import { FORMATS, formatsInForce, supportOf } from "@pyromesh/ring";
import type { Format, FormatInForce, MemberFormats } from "@pyromesh/ring";
import { BUILD_FORMATS } from "../process/build-formats.ts";
import type { Cluster } from "./ports.ts";

/** What a writer asks. */
export interface WrittenVersions {
  versionOf(format: Format): number;
}

export interface VersionGateModules {
  readonly cluster: Pick<Cluster, "isMajority" | "onChange" | "view">;
  /** See `Head`. */
  readonly head: { holdVersions(versions: Readonly<Record<string, number>>): Promise<void> };
  /** Tells the others. Undefined: the node is alone. */
  readonly promise: ((formats: MemberFormats) => Promise<void>) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const RETRY_MS = 1000;

export class VersionGate implements WrittenVersions {
  readonly #modules: VersionGateModules;
  #view: Cluster["view"] | undefined;
  #inForce: readonly FormatInForce[] = [];
  #promising: Promise<void> | undefined;
  #unwatch: (() => void) | undefined;
  #timer: Timer | undefined;
  /** By format: what was written last. */
  readonly #written = new Map<Format, number>();

  constructor(modules: VersionGateModules) {
    this.#modules = modules;
    const { metrics, promise } = modules;
    if (promise === undefined) return; // alone, it writes the newest of all
    const perFormat = (valueOf: (format: FormatInForce) => number) => (gauge: Gauge) => {
      for (const format of this.inForce) gauge.set({ format: format.format }, valueOf(format));
    };
    metrics.gauge("pyromesh_format_version", "Version in which this node writes each format.", ["format"], perFormat(({ version }) => version));
    metrics.gauge("pyromesh_format_held_back_members", "Members that do not read the newest version of a format that this node could write.", ["format"], perFormat(({ heldBackBy }) => heldBackBy.length));
  }

  /** In the order of FORMATS. */
  get inForce(): readonly FormatInForce[] {
    const { cluster } = this.#modules;
    const { view } = cluster;
    if (view !== this.#view) {
      this.#view = view;
      this.#inForce = formatsInForce(view.self, view.members, (stores) => cluster.isMajority(stores));
    }
    return this.#inForce;
  }

  versionOf(format: Format): number {
    return this.inForce[FORMATS.indexOf(format)]!.version;
  }

  /** Promises what may be promised, now and at each change of the view. Resolves after the first promise, kept or failed. */
  async start(): Promise<void> {
    this.#unwatch = this.#modules.cluster.onChange(() => void this.#check());
    await this.#check();
  }

  stop(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#timer?.cancel();
  }

  #check(): Promise<void> {
    this.#noteWritten();
    if (this.#unwatch === undefined) return Promise.resolve();
    return (this.#promising ??= this.#promise().finally(() => (this.#promising = undefined)));
  }

  async #promise(): Promise<void> {
    const { clock, head, logger, promise } = this.#modules;
    try {
      // Again where the view has changed meanwhile, unless membership did not take the promise: then the next change tells.
      let before = "";
      for (let wanted = this.#promisable; wanted !== undefined && this.#unwatch !== undefined; wanted = this.#promisable) {
        const versions = FORMATS.map((format, at) => [format, wanted![at]!.promised] as const);
        if (versions.join() === before) break;
        before = versions.join();
        await head.holdVersions(Object.fromEntries(versions));
        await promise!(wanted); // `#promisable` says that there is one
      }
      this.#noteWritten();
    } catch (error) {
      logger.warn("this node could not note that it will take records and answers in a newer version; they are written in the older one until it can", { error });
      this.#timer?.cancel();
      this.#timer = clock.after(RETRY_MS, () => void this.#check());
    }
  }

  /** The own formats with new promises; undefined: there is none to make, or not by this node: only a full member's promise counts. */
  get #promisable(): MemberFormats | undefined {
    const { cluster, promise } = this.#modules;
    const { self } = cluster.view;
    if (promise === undefined || (self.state !== "active" && self.state !== "leaving")) return undefined;
    const wanted = this.inForce.map(({ promisable }, at) => ({ ...supportOf(self.formats, at), promised: promisable }));
    return wanted.some(({ promised }, at) => promised > supportOf(self.formats, at).promised) ? wanted : undefined;
  }

  #noteWritten(): void {
    for (const { format, heldBackBy, version } of this.inForce) {
      const before = this.#written.get(format);
      this.#written.set(format, version);
      if (before !== undefined && version > before) this.#modules.logger.info("every member reads a newer version of a format, and it is written from now on", { format, version, before, heldBackBy });
    }
  }
}

/** What this build would write among members of its own version. */
export const NEWEST_VERSIONS: WrittenVersions = { versionOf: (format) => BUILD_FORMATS[format].reads };
