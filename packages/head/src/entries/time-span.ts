/** A span of profile times, both ends inclusive. No times at all is `undefined`, never an inverted span. */
import type { ByteReader, ByteWriter } from "@pyromesh/base";

export interface TimeSpan {
  readonly minMs: number;
  readonly maxMs: number;
}

/** The smallest span over both. */
export function joinSpans(a: TimeSpan | undefined, b: TimeSpan | undefined): TimeSpan | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return { minMs: Math.min(a.minMs, b.minMs), maxMs: Math.max(a.maxMs, b.maxMs) };
}

/** The smallest span over `span` and one time. */
export function widenSpan(span: TimeSpan | undefined, timeMs: number): TimeSpan {
  if (span === undefined) return { minMs: timeMs, maxMs: timeMs };
  if (timeMs < span.minMs) return { minMs: timeMs, maxMs: span.maxMs };
  if (timeMs > span.maxMs) return { minMs: span.minMs, maxMs: timeMs };
  return span;
}

export function writeSpan(writer: ByteWriter, span: TimeSpan | undefined): void {
  writer.f64(span?.minMs ?? Number.NaN).f64(span?.maxMs ?? Number.NaN);
}

export function readSpan(reader: ByteReader): TimeSpan | undefined {
  const minMs = reader.f64();
  const maxMs = reader.f64();
  if (Number.isNaN(minMs) && Number.isNaN(maxMs)) return undefined;
  if (!(minMs <= maxMs)) reader.fail("a span that ends after it begins", `${minMs} to ${maxMs}`);
  return { minMs, maxMs };
}
