/** A record of columns that never were a push: what decoding gave, or what a test made up. */
import { PprofKernel } from "../pprof/pprof-kernel.ts";
import { RecordEncoder } from "../record/record-encode.ts";
import type { EncodedRecord, RecordView } from "../model/record-view.ts";
import { RECORD_VERSION } from "../record/record.ts";

const INPUT_BYTES = 1 << 20;

let kernel: PprofKernel | undefined;

/** `clock`: what tells a push without a time of its own from another just like it. */
export function encodeView(view: RecordView, clock: { readonly idempotencyKey: string | undefined; readonly nonce: Uint8Array | undefined }): EncodedRecord {
  kernel ??= new PprofKernel(INPUT_BYTES);
  const { columns } = kernel.memory;
  const { symbols, tree, sampleCount } = view;
  columns.input.set(symbols.stringBytes);
  columns.stringStart.set(symbols.stringOffset.subarray(0, symbols.stringCount));
  columns.stringEnd.set(symbols.stringOffset.subarray(1, symbols.stringCount + 1));
  for (const name of ["mappingStart", "mappingLimit", "mappingFileOffset"] as const) columns[name].set(symbols[name].subarray(0, symbols.mappingCount));
  for (const name of ["mappingFilename", "mappingBuildId", "mappingFlags"] as const) columns[name].set(symbols[name].subarray(0, symbols.mappingCount));
  for (const name of ["functionName", "functionSystemName", "functionFilename", "functionStartLine"] as const) columns[name].set(symbols[name].subarray(0, symbols.functionCount));
  for (const name of ["locationMapping", "locationAddressLow", "locationAddressHigh", "locationFlags"] as const) columns[name].set(symbols[name].subarray(0, symbols.locationCount));
  columns.lineStart.set(symbols.lineStart.subarray(0, symbols.locationCount + 1));
  columns.lineFunction.set(symbols.lineFunction.subarray(0, symbols.lineCount));
  columns.lineNumber.set(symbols.lineNumber.subarray(0, symbols.lineCount));
  columns.nodeParent.set(tree.nodeParent.subarray(0, tree.nodeCount));
  columns.nodeLocation.set(tree.nodeLocation.subarray(0, tree.nodeCount));
  columns.mergedNode.set(view.sampleNode.subarray(0, sampleCount));
  for (let i = 0; i < sampleCount; i++) columns.list[i] = i;
  for (const [t, values] of view.values.entries()) {
    const isWide = values instanceof BigInt64Array;
    columns.sumIsWide[t] = Number(isWide);
    const at = columns.sums.byteOffset + t * sampleCount * 8;
    if (isWide) new BigInt64Array(columns.sums.buffer, at, sampleCount).set(values.subarray(0, sampleCount));
    else new Float64Array(columns.sums.buffer, at, sampleCount).set(values.subarray(0, sampleCount));
  }
  const samples = columns.list.subarray(0, sampleCount);
  return new RecordEncoder().encode(kernel, { ...view, ...clock, version: RECORD_VERSION, samples, mergedCount: sampleCount, columns: view.values.map((_, t) => t) });
}
