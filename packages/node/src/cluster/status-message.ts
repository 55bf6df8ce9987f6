/** `status`: what a store knows of records that another store keeps as well, before that one flushes them in its place. */
import type { HeardObject } from "@pyromesh/block";
import type { TenantId } from "@pyromesh/base";
import { malformed, openMessage, packMessage } from "./message.ts";
import { openToldObject, packToldObject } from "./told-object.ts";

export interface StatusRequest {
  readonly windows: readonly StatusWindow[];
}

export interface StatusWindow {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
  /** 16 bytes each. */
  readonly identities: Uint8Array;
}

/**
 * unknown    the store does not hold it, and does not know that it ever did
 * held       it holds the record, for another store to flush
 * buffered   it holds the record, and flushes it
 * segment    it sealed or released the record into this segment
 */
export type RecordStatus = { readonly kind: "unknown" | "held" | "buffered" } | { readonly kind: "segment"; readonly segment: HeardObject };

export interface StatusAnswer {
  /** Of the store that answers. */
  readonly storeId: string;
  /** In the order of the request. */
  readonly statuses: readonly RecordStatus[];
}

/** Of one request. */
export const STATUS_COUNT_MAX = 4096;

export function packStatusRequest({ windows }: StatusRequest): Uint8Array {
  return packMessage({ windows: windows.map(({ tenant, windowStartMs, identities }) => ({ tenant, windowStartMs, identities })) });
}

/** Throws PEER_MALFORMED. The identities are views of `bytes`. */
export function openStatusRequest(bytes: Uint8Array): StatusRequest {
  const what = "a status request";
  const windows = openMessage(bytes, what).list("windows", STATUS_COUNT_MAX, (window) => ({
    tenant: window.tenant("tenant"),
    windowStartMs: window.integer("windowStartMs"),
    identities: window.bytes("identities", { unitBytes: IDENTITY_BYTES, lengthMax: STATUS_COUNT_MAX * IDENTITY_BYTES }),
  }));
  if (windows.reduce((sum, { identities }) => sum + identities.length, 0) > STATUS_COUNT_MAX * IDENTITY_BYTES) throw malformed(what, `it asks for more than ${STATUS_COUNT_MAX} records`);
  return { windows };
}

/**
 * Codes are little-endian numbers of two bytes: 0 unknown, 1 held, 2 buffered, from 3 on the index of a segment.
 */
export function packStatusAnswer({ storeId, statuses }: StatusAnswer): Uint8Array {
  const segments = new Map<string, { readonly index: number; readonly segment: HeardObject }>();
  const codes = new Uint8Array(statuses.length * 2);
  const view = new DataView(codes.buffer);
  for (const [at, status] of statuses.entries()) {
    let code: number;
    if (status.kind === "segment") {
      const { segment } = status;
      const known = segments.get(segment.key) ?? { index: segments.size, segment };
      segments.set(segment.key, known);
      code = FIRST_SEGMENT + known.index;
    } else {
      code = KINDS.indexOf(status.kind);
    }
    view.setUint16(at * 2, code, true);
  }
  return packMessage({ storeId, codes, segments: Array.from(segments.values(), ({ segment }) => packToldObject(segment)) });
}

/** `count`: of the records that were asked for. Throws PEER_MALFORMED. */
export function openStatusAnswer(bytes: Uint8Array, count: number): StatusAnswer {
  const what = "a status answer";
  const fields = openMessage(bytes, what);
  const codes = fields.bytes("codes", { unitBytes: 2, lengthMax: STATUS_COUNT_MAX * 2 });
  if (codes.length !== count * 2) throw malformed(what, `it answers for ${codes.length / 2} records, and ${count} were asked for`);
  const segments = fields.list("segments", STATUS_COUNT_MAX, openToldObject);
  const view = new DataView(codes.buffer, codes.byteOffset, codes.byteLength);
  const statuses = Array.from({ length: count }, (_, at): RecordStatus => {
    const code = view.getUint16(at * 2, true);
    const kind = KINDS[code];
    if (kind !== undefined) return { kind };
    const segment = segments[code - FIRST_SEGMENT];
    if (segment === undefined) throw malformed(what, `it names segment ${code - FIRST_SEGMENT} of ${segments.length}`);
    return { kind: "segment", segment };
  });
  return { storeId: fields.hex("storeId", 16), statuses };
}

const IDENTITY_BYTES = 16;
const KINDS = ["unknown", "held", "buffered"] as const;
const FIRST_SEGMENT = KINDS.length;
