/** Sets of versions of OTLP, as bits: those whose samples have one layout are one. */
export const V7 = 1;
export const V8 = 2;
export const V10 = 4;
export const ANY: number = V7 | V8 | V10;
export const FROM_8: number = V8 | V10;
export const NONE = 0;
