/** How the sections of a new segment are compressed. */
import type { RawSection } from "@pyromesh/block";
import { CODEC } from "@pyromesh/block/segment";

/** Brotli 1: 9 % more bytes than 5 for a twentieth of the time; a segment is soon compacted (docs/decisions/0004-segment-layout.md). */
const SEGMENT_QUALITY = 1;

/** The codec and the quality for `encodeSection`. */
export function codecOf({ isCompressible }: RawSection): readonly [codec: number, quality: number] {
  return isCompressible ? [CODEC.brotli, SEGMENT_QUALITY] : [CODEC.none, SEGMENT_QUALITY];
}
