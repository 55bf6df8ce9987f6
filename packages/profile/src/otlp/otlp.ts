/**
 * OTLP profiles: an ExportProfilesServiceRequest of version 1.7 to 1.11, as protobuf or JSON, becomes one pprof for each service of each profile.
 *
 *   body --tables--> dictionary and resources --layout--> version --for each profile--> samples by service --writer--> pprof, labels
 *
 * A profile that cannot be read is refused by itself, and the others are kept. What concerns all of them refuses the export: that it is no
 * protobuf, or is of no known version. Pure.
 */
import { CodedError } from "@pyromesh/base";
import type { Label } from "../labels/labels.ts";
import { orUnbounded, tooManySamples } from "../labels/limits.ts";
import type { ProfileLimits } from "../labels/limits.ts";
import { namedRefusal, refusal } from "../labels/refusal.ts";
import { Attributes } from "./attributes.ts";
import { readTables } from "./export-tables.ts";
import type { ExportTables } from "./export-tables.ts";
import type { Layout } from "./generation.ts";
import { layoutOf } from "./generation.ts";
import { bytesOfJson } from "./otlp-json.ts";
import { OtlpPprofWriter } from "./otlp-pprof.ts";
import { OtlpSample } from "./otlp-sample.ts";
import { ProfileHeads } from "./profile-head.ts";
import { seriesLabelsOf, SERVICE_ATTRIBUTE, serviceOf, sharedLabelsOf } from "./series-labels.ts";
import { LENGTH, WireCursor } from "./wire-cursor.ts";

/** How an export is written. Plain data. */
export interface OtlpForm {
  readonly encoding: "protobuf" | "json";
}

/** Series of one export, and profiles of it that are refused: as many as one push may have. */
const SERIES_MAX = 16_384;

/**
 * Bytes that all pprofs of one export may take, beside four for each of its own. A small sample can refer to a large stack, and many can to the
 * same: beyond it the export is refused, which bounds the time that it takes. Exports of profilers become smaller as pprof.
 *
 * Twice as many bytes may be read of the dictionary, each entry counted whenever a pprof needs it: a profile can make the reader read much and write
 * nothing, and be refused for its last sample, or refer to a mapping with a million attributes.
 */
const PPROF_BYTES_MIN = 8 * 2 ** 20;

/**
 * Bytes of pprofs that are made before the first of them is given away. Making one and encoding it take turns then: either finds its code and
 * tables in the processor's cache for a while. Taking turns for each small profile costs 8 % more.
 */
const READ_AHEAD_BYTES = 128 * 1024;

/** What a label costs of those bytes: a resource may have a million attributes, which are checked for each of its profiles. */
const LABEL_BYTES = 16;

/** One profile of one service. */
export interface OtlpProfile {
  readonly pprof: Uint8Array;
  readonly labels: readonly Label[];
  /** Where it stands in the export. */
  readonly name: string;
}

export interface OtlpExport {
  readonly profiles: Iterable<OtlpProfile>;
  /** Whole once `profiles` is read to its end. */
  readonly refused: readonly CodedError[];
}

/** Throws a refusal of the export, also while its profiles are read. */
export function readExport(body: Uint8Array, { encoding }: OtlpForm, limits: ProfileLimits): OtlpExport {
  const json = encoding === "json" ? bytesOfJson(body) : undefined;
  const tables = readTables(json?.bytes ?? body);
  const reading = new ExportReading(tables, json?.layout ?? layoutOf(tables), limits);
  return { profiles: reading.profiles(), refused: reading.refused };
}

class ExportReading {
  readonly refused: CodedError[] = [];
  readonly #tables: ExportTables;
  readonly #attributes: Attributes;
  readonly #heads: ProfileHeads;
  readonly #writer: OtlpPprofWriter;
  readonly #cursor: WireCursor;
  /** Of the export's version. Absent: no sample names a service. */
  readonly #sample: OtlpSample | undefined;
  /** The service that an attribute of the dictionary names. Most exports have none. */
  readonly #services: ReadonlyMap<number, string>;
  #seriesCount = 0;
  /** What the labels of the series so far count. */
  #labelBytes = 0;
  readonly #pprofBytesMax: number;
  readonly #readBytesMax: number;
  /** Of one service of a profile. */
  readonly #sampleCountMax: number;

  constructor(tables: ExportTables, layout: Layout, limits: ProfileLimits) {
    this.#tables = tables;
    this.#sampleCountMax = orUnbounded(limits.sampleCountMax);
    this.#attributes = new Attributes(tables);
    this.#pprofBytesMax = PPROF_BYTES_MIN + 4 * tables.bytes.length;
    this.#readBytesMax = 2 * this.#pprofBytesMax;
    this.#writer = new OtlpPprofWriter(tables, this.#attributes, layout, { ...limits, readBytesMax: this.#readBytesMax });
    this.#services = servicesOf(tables, this.#attributes);
    this.#heads = new ProfileHeads(tables, layout);
    this.#cursor = new WireCursor(tables.bytes);
    this.#sample = this.#services.size === 0 ? undefined : new OtlpSample(tables.bytes, layout);
  }

  *profiles(): Generator<OtlpProfile> {
    const { bytes } = this.#tables;
    const [ofRequest, ofResource, ofScope] = [new WireCursor(bytes), new WireCursor(bytes), new WireCursor(bytes)];
    let made: OtlpProfile[] = [];
    let givenBytes = 0;
    let resourceIndex = -1;
    ofRequest.enter(0, bytes.length);
    while (ofRequest.next()) {
      if (ofRequest.field !== 1) continue;
      resourceIndex++;
      const resource = { start: ofRequest.start, stop: ofRequest.stop };
      const attributes = this.#attributesIn(resource, 1);
      const service = serviceOf(attributes);
      ofResource.enter(resource.start, resource.stop);
      let scopeIndex = 0;
      while (ofResource.next()) {
        if (ofResource.field !== 2 || ofResource.wire !== LENGTH) continue;
        const scope = { start: ofResource.start, stop: ofResource.stop };
        const owner = { labels: sharedLabelsOf(attributes, this.#attributesIn(scope, 3)), service };
        ofScope.enter(scope.start, scope.stop);
        let profileIndex = 0;
        while (ofScope.next()) {
          if (ofScope.field !== 2 || ofScope.wire !== LENGTH) continue;
          const name = `resource_profiles[${resourceIndex}].scope_profiles[${scopeIndex}].profiles[${profileIndex++}]`;
          this.#profile(owner, ofScope.start, ofScope.stop, name, made);
          if (this.#pprofBytes - givenBytes < READ_AHEAD_BYTES) continue;
          yield* made;
          made = [];
          givenBytes = this.#pprofBytes;
        }
        scopeIndex++;
      }
    }
    yield* made;
  }

  /** The attributes of the resource or scope, which is field 1 of the message that lies there. Of several the last one counts. */
  #attributesIn({ start, stop }: Place, field: number): readonly Label[] {
    const cursor = this.#cursor.enter(start, stop);
    let found: readonly Label[] = [];
    while (cursor.next()) if (cursor.field === 1 && cursor.wire === LENGTH) found = this.#attributes.of(field, cursor.start, cursor.stop);
    return found;
  }

  /** Adds the pprof of each of the profile's services to `made`: of one that is refused, none. */
  #profile(owner: Owner, start: number, stop: number, name: string, made: OtlpProfile[]): void {
    const madeCount = made.length;
    try {
      const head = this.#heads.read(start, stop);
      for (const [service, samples] of this.#samplesByService(start, stop)) {
        if (++this.#seriesCount > SERIES_MAX) break;
        const labels = seriesLabelsOf(head.name, service === "" ? owner.service : service, owner.labels);
        made.push({ pprof: this.#writer.write(head, samples), labels, name });
        this.#labelBytes += labels.length * LABEL_BYTES;
        if (this.#pprofBytes > this.#pprofBytesMax) break;
      }
    } catch (thrown) {
      if (!(thrown instanceof CodedError)) throw thrown;
      this.#seriesCount++; // what is refused is kept, too: an export could have millions of empty profiles
      this.refused.push(namedRefusal(name, thrown));
      made.length = madeCount;
    }
    if (this.#seriesCount > SERIES_MAX) throw refusal("profile_size_limit", `the export has more than ${SERIES_MAX} profiles, those of each service counted by themselves: send fewer at once`);
    if (this.#writer.readBytes > this.#readBytesMax) throw refusal("profile_size_limit", `the profiles of the export need more than ${this.#readBytesMax} bytes of its dictionary, counted for each: send fewer at once, or with shorter stacks`);
    if (this.#pprofBytes > this.#pprofBytesMax) throw refusal("profile_size_limit", `the profiles of the export take more than ${this.#pprofBytesMax} bytes as pprof: send fewer at once, or with shorter stacks`);
  }

  /** Of all pprofs so far, refused ones too. */
  get #pprofBytes(): number {
    return this.#writer.writtenBytes + this.#labelBytes;
  }

  /** Where the samples lie, start and stop in turn, by the service that they name: "" for those that name none. Throws a refusal of the profile. */
  #samplesByService(start: number, stop: number): Iterable<readonly [service: string, samples: number[]]> {
    const cursor = this.#cursor.enter(start, stop);
    let places: number[] | undefined = [];
    const found = new Map<string, number[]>();
    while (cursor.next()) {
      if (cursor.field !== 2 || cursor.wire !== LENGTH) continue;
      if (this.#sample !== undefined) {
        const service = this.#serviceIn(this.#sample.read(cursor.start, cursor.stop));
        places = found.get(service);
        if (places === undefined) found.set(service, (places = []));
      }
      if (places.length === 2 * this.#sampleCountMax) throw tooManySamples(this.#sampleCountMax); // before memory is taken for millions of empty ones
      places.push(cursor.start, cursor.stop);
    }
    return this.#sample === undefined && places.length > 0 ? [["", places]] : found;
  }

  #serviceIn({ attributes, attributeCount }: OtlpSample): string {
    for (let i = 0; i < attributeCount; i++) {
      const service = this.#services.get(attributes[i]!);
      if (service !== undefined) return service;
    }
    return "";
  }
}

interface Place {
  readonly start: number;
  readonly stop: number;
}

/** What all profiles of a scope have of their resource and scope. */
interface Owner {
  readonly labels: readonly Label[];
  readonly service: string;
}

function servicesOf(tables: ExportTables, attributes: Attributes): ReadonlyMap<number, string> {
  const services = new Map<number, string>();
  for (let i = 0; i < tables.attributes.count; i++) {
    const { key, text } = attributes.at(i);
    if (key === SERVICE_ATTRIBUTE && text !== "") services.set(i, text);
  }
  return services;
}
