/** A head in a data directory: LevelDB, witness and quarantine list side by side. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { checkHeadFormat, writeHeadFormat } from "./format-file.ts";
import { Head } from "./head.ts";
import type { HeadModules, HeadOptions } from "./head.ts";
import { keptFile } from "./kept-file.ts";
import { levelStoreOpener } from "./level-store.ts";
import { FORMAT_VERSION } from "./meta-entry.ts";
import { FileWitness } from "./witness.ts";

export interface OpenHeadOptions extends HeadOptions {
  /** Made if missing. Nothing else should live in it. */
  readonly dir: string;
}

/** Throws `HEAD_FORMAT_NEWER`, and `HEAD_LOCKED` when another process holds the directory. Call `replay` next. */
export async function openHead(options: OpenHeadOptions, modules: Omit<HeadModules, "opener" | "witness" | "quarantineFile">): Promise<Head> {
  const { dir, ...headOptions } = options;
  // 1. Before anything is touched.
  const format = await checkHeadFormat(dir);
  await mkdir(dir, { recursive: true });
  const witness = FileWitness.open(join(dir, "witness"));
  let head: Head;
  try {
    head = await Head.open(headOptions, { ...modules, opener: levelStoreOpener(dir, modules), witness, quarantineFile: keptFile(join(dir, "quarantine.json")) });
  } catch (cause) {
    witness.close();
    throw cause;
  }
  // 2. Before the replay writes the first entry of this format.
  try {
    if (format !== FORMAT_VERSION) await writeHeadFormat(dir);
  } catch (cause) {
    await head.close();
    throw cause;
  }
  return head;
}
