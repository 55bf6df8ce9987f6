/** Prints the reply of SelectTopTable. Pure, and called in a worker: a table may have a hundred thousand rows. */
import type { Interrupt, TopTable } from "@pyromesh/profile";
import { printMessage } from "./graph-reply.ts";
import type { MessageForm } from "./graph-reply.ts";
import { SELECT_TOP_TABLE_RESPONSE } from "../proto/pyromesh-query-v1.ts";

export type TopTableForm = MessageForm;

export function printTopTable({ rows, total, rowCount }: TopTable, form: TopTableForm, interrupt: Interrupt): Uint8Array {
  return printMessage(SELECT_TOP_TABLE_RESPONSE, { functions: rows, total, functionCount: rowCount }, form, interrupt);
}
