/** What the bytes of a reply say, for tests: in JSON. */
import { decodeUtf8 } from "@pyromesh/base";

export function readJson<T>({ value }: { readonly value: Uint8Array }): T {
  return JSON.parse(decodeUtf8(value)) as T; // the test says what it asked for
}

/** The total of a flame graph's reply. */
export function graphTotal(answer: { readonly value: Uint8Array }): number {
  return Number(readJson<{ readonly flamegraph: { readonly total?: string } }>(answer).flamegraph.total ?? 0);
}
