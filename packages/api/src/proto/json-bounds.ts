/** How large, how deep and of how many values JSON bodies may be (base/src/json-bounds.ts counts). */
import type { JsonBounds } from "@pyromesh/base";

/** A push has a depth of four, a query of three. */
const JSON_DEPTH_MAX = 32;

/** The bound for a query's message. The 10,000 ids that a selection may have are 390 kB, which takes some 3 ms to parse. */
export const JSON_MESSAGE_BYTES_MAX: number = 512 * 2 ** 10;
export const JSON_MESSAGE_BOUNDS: JsonBounds = { depthMax: JSON_DEPTH_MAX, valueCountMax: 65_536 };

/**
 * The bound for a push, whose profiles are base64. It is above a tenant's default burst (8 MB). Larger pushes can be sent as
 * application/proto.
 */
export const JSON_PUSH_BYTES_MAX: number = 16 * 2 ** 20;
/** The 16,384 profiles that a push may have, with some 15 values each. */
export const JSON_PUSH_BOUNDS: JsonBounds = { depthMax: JSON_DEPTH_MAX, valueCountMax: 262_144 };
