/** How a push is refused: JavaScript throws, and says why in words (src/pprof/pprof-kernel.ts). Nothing here goes on after it. */

@external("host", "refuse")
declare function throwRefusal(reason: u32, first: u32, second: u32, third: u32): void;

export const ENDS_IN_MESSAGE: u32 = 0;
export const ENDS_IN_NUMBER: u32 = 1;
export const NUMBER_TOO_LONG: u32 = 2;
export const ENDS_IN_SAMPLE: u32 = 3;
export const ENDS_IN_LOCATION: u32 = 4;
export const ENDS_IN_LOCATION_ID: u32 = 5;
export const ENDS_IN_FIELD: u32 = 6;
export const LOCATION_ID_ZERO: u32 = 7;
export const FIELD_NUMBER: u32 = 8;
export const FIELD_NUMBER_PADDED: u32 = 9;
/** The field, its wire type, and the one it should have. */
export const WIRE_TYPE: u32 = 10;
/** The wire type. */
export const WIRE_TYPE_UNKNOWN: u32 = 11;
export const TOO_MANY_SAMPLES: u32 = 12;
/** How many a sample has. */
export const TOO_MANY_LABELS: u32 = 13;
/** How many the first sample has, and how many another. */
export const VALUE_COUNTS: u32 = 14;
/** How many there may be. */
export const TOO_MANY_MAPPINGS: u32 = 15;
export const TOO_MANY_TYPES: u32 = 16;

export function refuse(reason: u32, first: u32 = 0, second: u32 = 0, third: u32 = 0): void {
  throwRefusal(reason, first, second, third);
  unreachable();
}
