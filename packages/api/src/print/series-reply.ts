/**
 * Prints the replies of SelectSeries and SelectHeatmap. Pure, and called in a worker: an answer grouped by pod may have tens of thousands
 * of series. Each series is encoded by itself, so that the messages of all series never exist at once. The bytes must be those that the
 * codecs of `proto/` write for the whole message; a test compares them.
 */
import { ByteWriter } from "@pyromesh/base";
import type { Exemplar, HeatmapSeries, Interrupt, TimeSeries } from "@pyromesh/profile";
import type { MessageForm } from "./graph-reply.ts";
import { encodeBinary } from "../proto/binary.ts";
import { REPLY_GROWTH, writeJson } from "../proto/json-encode.ts";
import type { MessageSchema } from "../proto/schema.ts";
import { HEATMAP_SERIES, SERIES } from "../proto/types-v1.ts";
import type { ExemplarMessage, HeatmapSeriesMessage, SeriesMessage } from "../proto/types-v1.ts";

/** For SelectSeries. */
export function printSeries(series: readonly TimeSeries[], form: MessageForm, interrupt: Interrupt): Uint8Array {
  return printEach(SERIES, series, seriesMessage, form, interrupt);
}

/** For SelectHeatmap. */
export function printHeatmap(series: readonly HeatmapSeries[], form: MessageForm, interrupt: Interrupt): Uint8Array {
  return printEach(HEATMAP_SERIES, series, heatmapMessage, form, interrupt);
}

/** What a series counts for the interrupt: it takes some microseconds. */
const SERIES_STEPS = 64;

/** The tag of `series`, the only field of both responses. */
const RESPONSE_SERIES = 1 * 8 + 2;

function printEach<T, Message extends object>(
  schema: MessageSchema<Message>,
  items: readonly T[],
  messageOf: (item: T) => Message,
  form: MessageForm,
  interrupt: Interrupt,
): Uint8Array {
  const out = new ByteWriter(1024, REPLY_GROWTH);
  if (form === "proto") {
    for (const item of items) {
      interrupt.after(SERIES_STEPS);
      out.u8(RESPONSE_SERIES).prefixed(encodeBinary(schema, messageOf(item)));
    }
    return out.finish();
  }
  if (items.length === 0) return out.utf8("{}").finish();
  out.utf8('{"series":[');
  for (const [index, item] of items.entries()) {
    if (index > 0) out.utf8(",");
    writeJson(schema, messageOf(item), out, interrupt);
  }
  return out.utf8("]}").finish();
}

function seriesMessage(series: TimeSeries): SeriesMessage {
  return {
    labels: series.labels,
    points: series.points.map((point) => ({
      value: point.value,
      timestamp: point.timestampMs,
      annotations: [],
      exemplars: point.exemplars.map(exemplarMessage),
    })),
  };
}

function heatmapMessage(series: HeatmapSeries): HeatmapSeriesMessage {
  return {
    labels: series.labels,
    slots: series.slots.map((slot) => ({
      timestamp: slot.timestampMs,
      yMin: slot.yMin,
      counts: slot.counts,
      exemplars: slot.exemplars.map(exemplarMessage),
    })),
  };
}

function exemplarMessage({ timestampMs, profileId, spanId, traceId, value, labels }: Exemplar): ExemplarMessage {
  return { timestamp: timestampMs, profileId, spanId, value, labels, traceId };
}
