/** What travels between the main thread and a lane: batches of calls one way, batches of outcomes the other. */
import { CodedError } from "@pyromesh/base";
import type { ErrorKind } from "@pyromesh/base";
import type { EncodeTask, FinishSpec, Generation, InsertEntry, ScanPartial, ScanTask } from "./compute.ts";

export type LaneCall =
  | { readonly method: "encode"; readonly task: EncodeTask }
  | { readonly method: "insert"; readonly generation: Generation; readonly entries: readonly InsertEntry[] }
  | { readonly method: "build"; readonly generation: Generation; readonly tenant: string; readonly windowStartMs: number }
  | { readonly method: "drop"; readonly generation: Generation }
  | { readonly method: "scan"; readonly task: ScanTask }
  | { readonly method: "finish"; readonly spec: FinishSpec; readonly partials: readonly ScanPartial[] };

export interface LaneRequest {
  readonly id: number;
  readonly call: LaneCall;
}

export type LaneOutcome =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError };

export interface PlainError {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
  readonly stack: string | undefined;
}

export function toPlainError(thrown: unknown): PlainError {
  if (thrown instanceof CodedError) {
    return { code: thrown.code, kind: thrown.kind, message: thrown.message, details: thrown.details, stack: undefined };
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return { code: "COMPUTE_FAILED", kind: "internal", message: error.message, details: {}, stack: error.stack };
}

export function fromPlainError(plain: PlainError): CodedError {
  const error = new CodedError(plain);
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}
