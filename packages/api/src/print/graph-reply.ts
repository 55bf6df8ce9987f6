/**
 * Prints the replies with flame graphs, diffs, tree bytes, call graphs and pprofs. Pure, and called in a worker: a flame graph of a
 * million nodes takes a second. The bytes must be those that the codecs of `proto/` write for the response's message; a test compares
 * them.
 */
import { ByteWriter, encodeUtf8 } from "@pyromesh/base";
import type { FlameGraph, FlameGraphDiff, Interrupt } from "@pyromesh/profile";
import { encodeBinary } from "../proto/binary.ts";
import { binaryToJson } from "../proto/binary-to-json.ts";
import { encodeJson, REPLY_GROWTH } from "../proto/json-encode.ts";
import { PPROF } from "../proto/pprof-v1.ts";
import * as q from "../proto/querier-v1.ts";
import type { MessageSchema } from "../proto/schema.ts";

/** The response's message in JSON or in protobuf's binary form. */
export type MessageForm = "json" | "proto";
/** `text`: Graphviz text alone. */
export type DotForm = MessageForm | "text";
/** `json` and `proto`: the profile is the response. `field-json` and `field-proto`: it is a field of a SelectMergeStacktraces response. */
export type PprofForm = MessageForm | "field-json" | "field-proto";

/** For SelectMergeStacktraces and for SelectMergeSpanProfile, whose response has the same field under the same number. */
export function printFlameGraph(graph: FlameGraph, form: MessageForm, interrupt: Interrupt): Uint8Array {
  return printMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { flamegraph: flameGraphMessage(graph) }, form, interrupt);
}

export function printDiff(graph: FlameGraphDiff, form: MessageForm, interrupt: Interrupt): Uint8Array {
  const { leftTicks, rightTicks } = graph;
  return printMessage(q.DIFF_RESPONSE, { flamegraph: { ...flameGraphMessage(graph), leftTicks, rightTicks } }, form, interrupt);
}

/** For SelectMergeStacktraces and SelectMergeSpanProfile, like `printFlameGraph`. */
export function printTree(tree: Uint8Array, form: MessageForm, interrupt: Interrupt): Uint8Array {
  return printMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { tree }, form, interrupt);
}

export function printDot(dot: string, form: DotForm, interrupt: Interrupt): Uint8Array {
  if (form === "text") return encodeUtf8(dot);
  return printMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { dot }, form, interrupt);
}

/** `profile` is an encoded pprof. */
export function printPprof(profile: Uint8Array, form: PprofForm, interrupt: Interrupt): Uint8Array {
  switch (form) {
    case "proto":
      return profile;
    case "json": {
      const out = new ByteWriter(1024, REPLY_GROWTH);
      binaryToJson(PPROF, profile, out, interrupt);
      return out.finish();
    }
    default:
      return printMessage(q.SELECT_MERGE_STACKTRACES_RESPONSE, { pprof: { profile } }, form === "field-json" ? "json" : "proto", interrupt);
  }
}

/** Encodes the response's message. */
export function printMessage<T extends object>(schema: MessageSchema<T>, message: T, form: MessageForm, interrupt: Interrupt): Uint8Array {
  interrupt.now();
  return form === "json" ? encodeJson(schema, message, interrupt) : encodeBinary(schema, message);
}

function flameGraphMessage(graph: FlameGraph): q.FlameGraphMessage {
  return { names: graph.names, levels: graph.levels.map((values) => ({ values })), total: graph.total, maxSelf: graph.maxSelf };
}
