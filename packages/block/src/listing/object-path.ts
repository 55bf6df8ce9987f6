/**
 * The names of segments, blocks and marks in the bucket. They carry what planning needs, so that a LIST is an index:
 *
 *   v1/<tenant>/<window start, UTC>/L0-<min ms>-<max ms>-<store id, hex>-<ordinal>.seg      segment
 *   v1/<tenant>/<window start, UTC>/L0-<min ms>-<max ms>-<store id, hex>-<ordinal>.<mark>   mark: void, lost or forgotten
 *   v1/<tenant>/<window start, UTC>/L<level>-<min ms>-<max ms>-<block id, hex>.blk          block, level >= 1
 *
 *   v1/anonymous/20260302T14/L0-1772460000000-1772460059999-0f1e2d3c4b5a69788796a5b4c3d2e1f0-0000000007.seg
 *
 * A store gives its segments the ordinals 0, 1, 2, ... per tenant and window, and leaves none out: one that is neither a
 * segment nor a mark in the bucket is data that is gone. A mark takes the place of a segment that is not there, and says why:
 *
 *   void        nothing is missing: its records are held or were flushed elsewhere
 *   lost        the segment can never be uploaded: answers over its window are incomplete until someone accepts the loss
 *   forgotten   an operator accepted the loss (`pyromesh bucket forget`); it may stand beside a `lost` of the same ordinal
 *
 * What must stay true: parsing gives back exactly what the name was made of, and only names made here are parsed: one with another
 * padding, another case or anything more is foreign. A name once used is never used for other bytes (a mark's text is for people, so there
 * it does not matter). Nothing but segments, blocks, marks and floors (`floor.ts`) lies under `v1/`.
 */
import type { TenantId } from "@pyromesh/base";
import { assert, parseTenantId } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";

/** What is in a name. */
export type ObjectKey = ReadableKey | MarkKey;

/** The key of an object that holds records. */
export type ReadableKey = SegmentKey | BlockKey;

interface CommonKey {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
  /** The range of the records' times, both ends inclusive, rounded down to milliseconds. */
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
}

export interface SegmentKey extends CommonKey {
  readonly kind: "segment";
  readonly level: 0;
  /** 16 bytes as lower-case hex: whose head it was cut from. */
  readonly storeId: string;
  /** Counted per store, tenant and window. */
  readonly ordinal: number;
}

export interface BlockKey extends CommonKey {
  readonly kind: "block";
  /** >= 1. */
  readonly level: number;
  /** Lower-case hex. */
  readonly blockId: string;
}

/** Why there is no segment of an ordinal. */
export type Mark = "void" | "lost" | "forgotten";

/** Stands in a segment's place. Where the segment's times are not known, its own are those of the whole window. */
export interface MarkKey extends Omit<SegmentKey, "kind"> {
  readonly kind: "mark";
  readonly mark: Mark;
}

/** The prefix of all segments, blocks, marks and floors. */
export const OBJECT_PREFIX = "v1/";

export function segmentKey(meta: Omit<SegmentKey, "kind" | "level">): string {
  return `${ordinalStem(meta)}.seg`;
}

export function markKey(meta: Omit<MarkKey, "kind" | "level">): string {
  return `${ordinalStem(meta)}.${meta.mark}`;
}

export function blockKey(meta: Omit<BlockKey, "kind">): string {
  assert(/^(?:[0-9a-f]{2}){8,32}$/.test(meta.blockId), "a block id is 16 to 64 lower-case hex digits");
  assert(Number.isSafeInteger(meta.level) && meta.level >= 1 && meta.level <= 99, "a block's level is 1 to 99");
  return `${objectStem(meta, meta.level)}-${meta.blockId}.blk`;
}

/**
 * Undefined for a foreign name. A LIST brings thousands of names, so the parts of a name are checked, which is quicker than to make it again
 * and compare. A test makes sure that what is returned makes the same name.
 */
export function parseObjectKey(key: string): ObjectKey | undefined {
  const match = OBJECT_KEY.exec(key);
  if (match === null) return undefined;
  const { tenant, window, level, min, max, store, ordinal, ending, block } = match.groups as Record<string, string | undefined>; // named in OBJECT_KEY
  const place = parsePlace(tenant!, window!);
  if (place === undefined || !isPadded(min!, TIME_DIGITS) || !isPadded(max!, TIME_DIGITS)) return undefined;
  const common = { ...place, minTimeMs: Number(min), maxTimeMs: Number(max) };
  if (!areTimesInWindow(common)) return undefined;
  if (block !== undefined) {
    const isNamed = level !== "0" && isPadded(level!, 1) && block.length % 2 === 0;
    return isNamed ? { kind: "block", level: Number(level), ...common, blockId: block } : undefined;
  }
  if (level !== "0" || !isPadded(ordinal!, ORDINAL_DIGITS) || !Number.isSafeInteger(Number(ordinal))) return undefined;
  const numbered = { level: 0 as const, ...common, storeId: store!, ordinal: Number(ordinal) };
  return ending === "seg" ? { kind: "segment", ...numbered } : { kind: "mark", mark: ending as Mark, ...numbered }; // what else OBJECT_KEY takes
}

type Place = Pick<CommonKey, "tenant" | "windowStartMs">;

/** The last answer, which depends on the names alone: those of one tenant and window come one after the other. */
let lastPlace: { readonly tenant: string; readonly window: string; readonly place: Place | undefined } = { tenant: "", window: "", place: undefined };

function parsePlace(tenant: string, window: string): Place | undefined {
  if (lastPlace.tenant !== tenant || lastPlace.window !== window) lastPlace = { tenant, window, place: readPlace(tenant, window) };
  return lastPlace.place;
}

function readPlace(tenant: string, window: string): Place | undefined {
  const windowStartMs = parseWindow(window);
  if (windowStartMs === undefined) return undefined;
  try {
    return { tenant: parseTenantId(tenant), windowStartMs };
  } catch {
    return undefined;
  }
}

/** True for a number as `padded` writes it: leading zeros only up to `digits`. So each number has one text. */
function isPadded(text: string, digits: number): boolean {
  return text.length === digits || (text.length > digits && !text.startsWith("0"));
}

/** The prefix of all objects of one tenant. */
export function tenantPrefix(tenant: TenantId): string {
  return `${OBJECT_PREFIX}${tenant}/`;
}

/** The prefix of all objects of one tenant and window. */
export function windowPrefix(tenant: TenantId, windowStartMs: number): string {
  return `${tenantPrefix(tenant)}${printWindow(windowStartMs)}/`;
}

/** Enough until the year 2286, and for 10^10 segments a window. So the names of one window sort by time. */
const TIME_DIGITS = 13;
const ORDINAL_DIGITS = 10;
const OBJECT_KEY =
  /^v1\/(?<tenant>[^/]+)\/(?<window>\d{8}T\d{2})\/L(?<level>\d{1,2})-(?<min>\d{13,16})-(?<max>\d{13,16})-(?:(?<store>[0-9a-f]{32})-(?<ordinal>\d{10,16})\.(?<ending>seg|void|lost|forgotten)|(?<block>[0-9a-f]{16,64})\.blk)$/;

function ordinalStem(meta: Omit<SegmentKey, "kind" | "level">): string {
  assert(/^[0-9a-f]{32}$/.test(meta.storeId), "a store id is 32 lower-case hex digits");
  assert(Number.isSafeInteger(meta.ordinal) && meta.ordinal >= 0, "an ordinal is a whole number");
  return `${objectStem(meta, 0)}-${meta.storeId}-${padded(meta.ordinal, ORDINAL_DIGITS)}`;
}

function objectStem(meta: CommonKey, level: number): string {
  const { windowStartMs, minTimeMs, maxTimeMs } = meta;
  assert(areTimesInWindow(meta), "an object's times lie in its window");
  return `${windowPrefix(meta.tenant, windowStartMs)}L${level}-${padded(minTimeMs, TIME_DIGITS)}-${padded(maxTimeMs, TIME_DIGITS)}`;
}

function areTimesInWindow({ windowStartMs, minTimeMs, maxTimeMs }: Pick<CommonKey, "windowStartMs" | "minTimeMs" | "maxTimeMs">): boolean {
  return windowStartMs <= minTimeMs && minTimeMs <= maxTimeMs && maxTimeMs < windowStartMs + WINDOW_MS;
}

/** A window as it is written in a name: `20260302T14`. */
export function printWindow(windowStartMs: number): string {
  assert(windowStartMs >= 0 && windowStartMs % WINDOW_MS === 0 && windowStartMs < Date.UTC(10_000, 0), "a window begins at a full hour from 1970 to 9999");
  const iso = new Date(windowStartMs).toISOString(); // 2026-03-02T14:00:00.000Z
  return `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}T${iso.slice(11, 13)}`;
}

/** Undefined for what `printWindow` does not write. */
export function parseWindow(text: string): number | undefined {
  if (!/^\d{8}T\d{2}$/.test(text)) return undefined;
  const windowStartMs = Date.UTC(Number(text.slice(0, 4)), Number(text.slice(4, 6)) - 1, Number(text.slice(6, 8)), Number(text.slice(9, 11)));
  return windowStartMs >= 0 && printWindow(windowStartMs) === text ? windowStartMs : undefined;
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
