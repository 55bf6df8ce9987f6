/** Files that clients upload as ad hoc profiles. Each has a function that no other one has. */
import { gzipSync } from "node:zlib";
import type { Chance } from "../world/chance.ts";
import { pprofOf } from "./part.ts";

export interface AdHocFile {
  readonly file: Uint8Array;
  /** Undefined: it is cut short, so that it cannot be read. */
  readonly leaf: string | undefined;
  /** Of its name. */
  readonly ending: string;
}

const CUT_SHARE = 0.1;

export function drawFile(chance: Chance, number: number): AdHocFile {
  const leaf = `adhoc_${number}`;
  const stacks = [
    { frames: ["main", ...chance.pick([[], ["serve"], ["serve", "work"]]), leaf], values: [chance.int(1, 1_000), chance.int(1_000, 1_000_000)] },
    { frames: ["main", "serve", `shared_${chance.int(0, 3)}`], values: [chance.int(1, 1_000), chance.int(1_000, 1_000_000)] },
  ];
  const isText = chance.isTrue(0.5);
  const plain = isText ? Buffer.from(stacks.map(({ frames, values }) => `${frames.join(";")} ${values[0]!}\n`).join("")) : pprofOf({ id: number, tenant: "", service: "", labels: [], timeMs: undefined, stacks });
  const isCut = chance.isTrue(CUT_SHARE);
  const isGzip = isCut || chance.isTrue(0.5);
  const file = isGzip ? gzipSync(plain) : plain;
  return { file: isCut ? file.subarray(0, chance.int(20, file.length - 9)) : file, leaf: isCut ? undefined : leaf, ending: `${isText ? ".folded" : ".pprof"}${isGzip ? ".gz" : ""}` };
}
