/** Compute in place, on the caller's thread: for the simulator and for tests. The same engine, one worker. */
import type { Random } from "@pyromesh/base";
import { encodeSection } from "@pyromesh/block";
import type { EncodedRecord } from "@pyromesh/profile";
import type { Compute, InsertedRecord } from "../compute/compute.ts";
import { ComputeEngine } from "../compute/compute-engine.ts";
import { finishQuery } from "../compute/finish-query.ts";
import { mergePartials } from "../compute/merge-partials.ts";
import { AMPLE_MEMORY } from "../process/memory-plan.ts";
import { codecOf } from "../compute/section-codec.ts";

export function openLocalCompute(modules: { readonly random: Random }): Compute {
  const engine = new ComputeEngine({ openBytesMax: AMPLE_MEMORY.openDatasetBytes }, { ...modules, isMine: () => true });
  const rows = new Map<InsertedRecord, { readonly generation: number; readonly row: number }>();
  return {
    encode: async (task) => {
      const encoded = engine.encode(task, (lengthBytes) => new Uint8Array(lengthBytes));
      for (const [index, record] of encoded.records.entries()) rows.set(record, { generation: task.generation, row: encoded.rows[index]! });
      return encoded.records;
    },
    insert: (generation, records) => {
      for (const record of records) {
        const ready = rows.get(record);
        rows.delete(record);
        if (ready?.generation === generation && ready.row !== 0) engine.insertRows(generation, [ready.row]);
        else engine.insert(generation, [record]);
      }
    },
    release: (records: readonly EncodedRecord[]) => {
      for (const record of records) engine.releaseRows([rows.get(record)?.row ?? 0]);
      for (const record of records) rows.delete(record);
    },
    settle: async () => {},
    build: async (generation, tenant, windowStartMs) => {
      for (;;) {
        const built = engine.build(generation, tenant, windowStartMs);
        if (built === undefined) continue;
        return built.map((dataset) => ({ ...dataset, sections: dataset.sections.map((section) => encodeSection(section.tag, section.raw, ...codecOf(section))) }));
      }
    },
    drop: (generation) => engine.drop(generation),
    scan: async (task) => [engine.scan(task)],
    merge: async (spec, partials) => mergePartials(spec, partials),
    finish: async (spec, partials) => finishQuery(spec, partials),
    readBackFrom: () => {}, // nothing here dies alone
    stop: async () => {},
  };
}
