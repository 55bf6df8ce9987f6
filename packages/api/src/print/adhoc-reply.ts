/** Prints the replies of AdHocProfileService that hold a graph. The graph is a text in them: the JSON of the render API. Pure, and called in a worker. */
import { decodeUtf8 } from "@pyromesh/base";
import type { FlameGraph, FlameGraphDiff, GraphMetadata, Interrupt } from "@pyromesh/profile";
import * as a from "../proto/adhocprofiles-v1.ts";
import { printMessage } from "./graph-reply.ts";
import type { MessageForm } from "./graph-reply.ts";
import { printGraph, printGraphDiff } from "./render-reply.ts";

/** What the reply says beside the graph. */
export type AdHocReply = Pick<a.AdHocGetResponse, "id" | "name" | "profileTypes" | "uploadedAt">;

/** Of Get and Upload. The graph's name is its type. */
export function printAdHocGraph(graph: FlameGraph, metadata: GraphMetadata, reply: AdHocReply, form: MessageForm, interrupt: Interrupt): Uint8Array {
  const flamebearerProfile = decodeUtf8(printGraph(graph, metadata, interrupt));
  return printMessage(a.AD_HOC_GET_RESPONSE, { ...reply, profileType: metadata.name, flamebearerProfile }, form, interrupt);
}

export function printAdHocDiff(graph: FlameGraphDiff, metadata: GraphMetadata, profileTypes: readonly string[], form: MessageForm, interrupt: Interrupt): Uint8Array {
  const flamebearerProfile = decodeUtf8(printGraphDiff(graph, metadata, interrupt));
  return printMessage(a.AD_HOC_DIFF_RESPONSE, { profileTypes, flamebearerProfile }, form, interrupt);
}
