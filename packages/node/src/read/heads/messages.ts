/**
 * The messages of a query over several heads, drawn in HEADS.md: `digest`, `identities`, `scan`, `release-pin`, `sealed`. Columns of numbers travel as
 * little-endian bytes.
 *
 * Every decoder throws PEER_MALFORMED for what does not fit.
 */
import type { TenantId } from "@pyromesh/base";
import { SEALED_READ_BYTES_MAX, SourceSet } from "@pyromesh/block";
import type { HeardObject, SourceRange } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";
import { openMessage, packMessage } from "../../cluster/message.ts";
import type { Fields } from "../../cluster/message.ts";
import { openToldObject, packToldObject } from "../../cluster/told-object.ts";
import type { ScanSpec } from "../../compute/compute.ts";
import type { PlannedObject, SegmentName, ViewRequest } from "./head-view.ts";
import { UNKNOWN_MAX } from "./head-view.ts";
import { PlannedObjects } from "./planned-objects.ts";
import type { PlannedWindow } from "./planned-objects.ts";
import { openScanSpec, openSelectors, packScanSpec, packSelectors } from "./scan-spec-message.ts";
import type { SeriesDigests } from "./tenant-view.ts";

// --- digest -----------------------------------------------------------------------------------------------------------

export interface DigestRequest extends ViewRequest {
  /** Comes back in the answer, which is the answer to this question only then. */
  readonly question: number;
}

export interface TenantDigests extends SeriesDigests {
  readonly tenant: TenantId;
}

export interface DigestAnswer {
  readonly question: number;
  readonly storeId: string;
  readonly bootId: string;
  /** Of the member table that the store knows. */
  readonly membersDigest: string;
  /** For how long the store has remembered what left its head. */
  readonly remembersMs: number;
  /** Ask again with these objects by key; then all that follows is empty. */
  readonly unknown: readonly SegmentName[];
  /** Keys of segments of the request that wait at no store and are not in the bucket: plan without them and ask again; then all that follows is empty. */
  readonly nowhere: readonly string[];
  /** Keys of objects of the plan that are not in the bucket any more: list it, plan and ask again; then all that follows is empty. */
  readonly gone: readonly string[];
  /** Names the view in later requests; undefined where it holds no record, and nothing is kept. */
  readonly viewId: string | undefined;
  readonly tenants: readonly TenantDigests[];
  /** What the plan lacks: add it and ask again. */
  readonly named: readonly HeardObject[];
  /** Losses in the range that nobody has acknowledged, in words. A store that has one counts as failed. */
  readonly quarantines: readonly string[];
  /** The oldest and the newest record of the tenants in the head. */
  readonly span: { readonly oldestMs: number; readonly newestMs: number } | undefined;
}

const TENANTS_MAX = 1024;
const TEXT_LENGTH_MAX = 65_536;
const OBJECTS_MAX = 65_536;
const STORES_MAX = 65_536;
const RANGES_MAX = 1_000_000;
const SERIES_MAX = 4_000_000;
const QUARANTINES_MAX = 100;
const KEY_LENGTH_MAX = 1024;
/** Times of a `Date`. */
const TIME_MS_MAX = 8.64e15;

export function packDigestRequest({ question, wants, tenants, startMs, endMs, services, planned, objects }: DigestRequest): Uint8Array {
  const stores: string[] = [];
  const numberOf = new Map<string, number>();
  const packed = (set: SourceSet): number[] =>
    set.ranges().flatMap(({ storeId, firstOrdinal, lastOrdinal }) => {
      let number = numberOf.get(storeId);
      if (number === undefined) numberOf.set(storeId, (number = stores.push(storeId) - 1));
      return [number, firstOrdinal, lastOrdinal];
    });
  const windows = planned.windows.map(({ tenant, windowStartMs, segments, inBlocks }) => ({ tenant: tenants.indexOf(tenant), window: windowStartMs / WINDOW_MS, segments: packed(segments), inBlocks: packed(inBlocks) }));
  return packMessage({ question, wants, tenants, startMs, endMs, services: packSelectors(services), stores, windows, objects });
}

export function openDigestRequest(bytes: Uint8Array): DigestRequest {
  const what = "a digest request";
  const fields = openMessage(bytes, what);
  const tenants = fields.tenants("tenants", TENANTS_MAX);
  const stores = fields.texts("stores", STORES_MAX, 32);
  if (!stores.every((store) => /^[0-9a-f]{32}$/.test(store))) throw fields.wrong("stores", "a list of store ids");
  const windows = fields.list("windows", OBJECTS_MAX, (window): PlannedWindow => {
    const tenant = tenants[window.integer("tenant", { max: TENANTS_MAX })];
    if (tenant === undefined) throw window.wrong("tenant", "the number of a tenant");
    return { tenant, windowStartMs: window.integer("window", { max: TIME_MS_MAX / WINDOW_MS }) * WINDOW_MS, segments: openRanges(window, "segments", stores), inBlocks: openRanges(window, "inBlocks", stores) };
  });
  return {
    question: fields.integer("question"),
    wants: fields.oneOf("wants", ["records", "span"]),
    tenants,
    startMs: fields.integer("startMs", { min: -TIME_MS_MAX, max: TIME_MS_MAX }),
    endMs: fields.integer("endMs", { min: -TIME_MS_MAX, max: TIME_MS_MAX }),
    services: openSelectors(fields, "services"),
    planned: new PlannedObjects(windows),
    objects: fields.list("objects", OBJECTS_MAX, openPlannedObject),
  };
}

function openRanges(fields: Fields, name: string, stores: readonly string[]): SourceSet {
  const numbers = fields.integers(name, 3 * RANGES_MAX);
  if (numbers.length % 3 !== 0) throw fields.wrong(name, "a list of ranges");
  const ranges: SourceRange[] = [];
  for (let at = 0; at < numbers.length; at += 3) {
    const [store, firstOrdinal, lastOrdinal] = [stores[numbers[at]!], numbers[at + 1]!, numbers[at + 2]!];
    if (store === undefined || firstOrdinal < 0 || lastOrdinal < firstOrdinal) throw fields.wrong(name, "a list of ranges");
    ranges.push({ storeId: store, firstOrdinal, lastOrdinal });
  }
  return new SourceSet(ranges);
}

function openPlannedObject(fields: Fields): PlannedObject {
  const place = fields.text("place", 64);
  if (place !== "bucket" && !/^store:[0-9a-f]{32}$/.test(place)) throw fields.wrong("place", "a place");
  return { key: fields.text("key", KEY_LENGTH_MAX), sizeBytes: fields.integer("sizeBytes"), place: place as PlannedObject["place"] }; // just checked
}

export function packDigestAnswer({ tenants, unknown, nowhere, gone, named, ...answer }: DigestAnswer): Uint8Array {
  const about = { ...answer, unknown: unknown.map((name) => ({ ...name })) };
  // Without the fields that follow: a build that does not know these two must not take the answer for that of a store that holds nothing.
  if (nowhere.length > 0 || gone.length > 0) return packMessage({ ...about, ...(nowhere.length > 0 && { nowhere }), ...(gone.length > 0 && { gone }) });
  return packMessage({
    ...about,
    tenants: tenants.map(({ tenant, fingerprints, counts, internedCounts, sums }) => ({ tenant, fingerprints: bytesOf(fingerprints), counts: bytesOf(counts), interned: bytesOf(internedCounts), sums: bytesOf(sums) })),
    named: named.map(packToldObject),
  });
}

export function openDigestAnswer(bytes: Uint8Array): DigestAnswer {
  const fields = openMessage(bytes, "a digest answer");
  const isWithoutView = fields.has("nowhere") || fields.has("gone");
  return {
    question: fields.integer("question"),
    storeId: fields.hex("storeId", 16),
    bootId: fields.text("bootId", 256),
    membersDigest: fields.text("membersDigest", 256),
    remembersMs: fields.integer("remembersMs"),
    unknown: fields.list("unknown", UNKNOWN_MAX, (name) => ({ tenant: name.tenant("tenant"), windowStartMs: name.integer("windowStartMs"), storeId: name.hex("storeId", 16), ordinal: name.integer("ordinal") })),
    nowhere: fields.has("nowhere") ? fields.texts("nowhere", UNKNOWN_MAX, KEY_LENGTH_MAX) : [],
    gone: fields.has("gone") ? fields.texts("gone", UNKNOWN_MAX, KEY_LENGTH_MAX) : [],
    viewId: fields.has("viewId") ? fields.hex("viewId", VIEW_ID_BYTES) : undefined,
    tenants: isWithoutView ? [] : fields.list("tenants", TENANTS_MAX, (digests) => {
      const fingerprints = digests.bytes("fingerprints", { unitBytes: 8, lengthMax: 8 * SERIES_MAX });
      const seriesCount = fingerprints.length / 8;
      const column = (name: string, unitBytes: number): Uint8Array => {
        const column = digests.bytes(name, { unitBytes, lengthMax: unitBytes * SERIES_MAX });
        if (column.length !== seriesCount * unitBytes) throw digests.wrong(name, `a value for each of ${seriesCount} series`);
        return column;
      };
      return { tenant: digests.tenant("tenant"), seriesCount, fingerprints: words64(fingerprints), counts: words32(column("counts", 4)), internedCounts: words32(column("interned", 4)), sums: words32(column("sums", 16)) };
    }),
    named: isWithoutView ? [] : fields.list("named", OBJECTS_MAX, openToldObject),
    quarantines: fields.texts("quarantines", QUARANTINES_MAX, TEXT_LENGTH_MAX),
    span: fields.has("span") ? openSpan(fields.fields("span")) : undefined,
  };
}

function openSpan(fields: Fields): { oldestMs: number; newestMs: number } {
  return { oldestMs: fields.integer("oldestMs", { min: -TIME_MS_MAX }), newestMs: fields.integer("newestMs", { min: -TIME_MS_MAX }) };
}

export const VIEW_ID_BYTES = 8;

// --- identities -------------------------------------------------------------------------------------------------------

export interface TenantSeries {
  readonly tenant: TenantId;
  readonly fingerprints: BigUint64Array;
}

export interface IdentitiesRequest {
  readonly viewId: string;
  readonly series: readonly TenantSeries[];
}

/** The identities of each asked series, one series after the other in the order of the request. */
export interface IdentityLists {
  readonly tenant: TenantId;
  readonly counts: Uint32Array;
  /** 16 bytes each. */
  readonly identities: Uint8Array;
  /** 1 for each that has rows in memory here. */
  readonly interned: Uint8Array;
}

const IDENTITIES_BYTES_MAX = 2 ** 30;

export function packIdentitiesRequest({ viewId, series }: IdentitiesRequest): Uint8Array {
  return packMessage({ viewId, series: series.map(packSeries) });
}

export function openIdentitiesRequest(bytes: Uint8Array): IdentitiesRequest {
  const fields = openMessage(bytes, "an identities request");
  return { viewId: fields.hex("viewId", VIEW_ID_BYTES), series: fields.list("series", TENANTS_MAX, openSeries) };
}

export function packIdentityLists(lists: readonly IdentityLists[]): Uint8Array {
  return packMessage({ lists: lists.map(({ tenant, counts, identities, interned }) => ({ tenant, counts: bytesOf(counts), identities, interned })) });
}

export function openIdentityLists(bytes: Uint8Array): IdentityLists[] {
  return openMessage(bytes, "identity lists").list("lists", TENANTS_MAX, (list) => {
    const counts = words32(list.bytes("counts", { unitBytes: 4, lengthMax: 4 * SERIES_MAX }));
    const identities = list.bytes("identities", { unitBytes: 16, lengthMax: IDENTITIES_BYTES_MAX });
    const interned = list.bytes("interned", { lengthMax: IDENTITIES_BYTES_MAX / 16 });
    const count = counts.reduce((sum, one) => sum + one, 0);
    if (identities.length !== count * 16 || interned.length !== count) throw list.wrong("identities", `a list of ${count}`);
    return { tenant: list.tenant("tenant"), counts, identities, interned };
  });
}

function packSeries({ tenant, fingerprints }: TenantSeries): Record<string, unknown> {
  return { tenant, fingerprints: bytesOf(fingerprints) };
}

function openSeries(fields: Fields): TenantSeries {
  return { tenant: fields.tenant("tenant"), fingerprints: words64(fields.bytes("fingerprints", { unitBytes: 8, lengthMax: 8 * SERIES_MAX })) };
}

// --- scan -------------------------------------------------------------------------------------------------------------

/** What one store is to answer for, of the records of its view. */
export interface TenantTake {
  readonly tenant: TenantId;
  /** All records of these series. */
  readonly fingerprints: BigUint64Array;
  /** And these records, 16 bytes each. */
  readonly identities: Uint8Array;
}

export interface ScanRequest {
  readonly viewId: string;
  readonly spec: ScanSpec;
  /** Of each tenant of the query that has one: records below it are left out. */
  readonly floors: ReadonlyMap<TenantId, number>;
  /** Undefined: every record of the view. */
  readonly takes: readonly TenantTake[] | undefined;
}

export function packScanRequest({ viewId, spec, floors, takes }: ScanRequest): Uint8Array {
  return packMessage({
    viewId,
    spec: packScanSpec(spec),
    floors: Array.from(floors, ([tenant, floorMs]) => ({ tenant, floorMs })),
    takes: takes?.map((take) => ({ ...packSeries(take), identities: take.identities })),
  });
}

export function openScanRequest(bytes: Uint8Array): ScanRequest {
  const fields = openMessage(bytes, "a scan request");
  return {
    viewId: fields.hex("viewId", VIEW_ID_BYTES),
    spec: openScanSpec(fields.fields("spec")),
    floors: new Map(fields.list("floors", TENANTS_MAX, (floor) => [floor.tenant("tenant"), floor.integer("floorMs", { min: -TIME_MS_MAX })] as const)),
    takes: fields.has("takes") ? fields.list("takes", TENANTS_MAX, (take) => ({ ...openSeries(take), identities: take.bytes("identities", { unitBytes: 16, lengthMax: IDENTITIES_BYTES_MAX }) })) : undefined,
  };
}

// --- release-pin ------------------------------------------------------------------------------------------------------

export function packReleaseRequest(viewId: string): Uint8Array {
  return packMessage({ viewId });
}

export function openReleaseRequest(bytes: Uint8Array): string {
  return openMessage(bytes, "a release request").hex("viewId", VIEW_ID_BYTES);
}

// --- sealed -----------------------------------------------------------------------------------------------------------

export interface SealedRequest {
  readonly key: string;
  readonly offset: number;
  readonly lengthBytes: number;
}

export function packSealedRequest({ key, offset, lengthBytes }: SealedRequest): Uint8Array {
  return packMessage({ key, offset, lengthBytes });
}

export function openSealedRequest(bytes: Uint8Array): SealedRequest {
  const fields = openMessage(bytes, "a sealed request");
  return { key: fields.text("key", KEY_LENGTH_MAX), offset: fields.integer("offset"), lengthBytes: fields.integer("lengthBytes", { max: SEALED_READ_BYTES_MAX }) };
}

// --- columns ----------------------------------------------------------------------------------------------------------

/** Little-endian on every machine that runs this: the typed arrays are. */
function bytesOf({ buffer, byteOffset, byteLength }: BigUint64Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function words64(bytes: Uint8Array): BigUint64Array {
  return new BigUint64Array(Uint8Array.from(bytes).buffer);
}

function words32(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(Uint8Array.from(bytes).buffer);
}

