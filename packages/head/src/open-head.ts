/** A head in a data directory: LevelDB, witness and quarantine list side by side. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Head } from "./head.ts";
import type { HeadModules, HeadOptions } from "./head.ts";
import { keptFile } from "./kept-file.ts";
import { levelStoreOpener } from "./level-store.ts";
import type { LevelStoreModules } from "./level-store.ts";
import { FileWitness } from "./witness.ts";

export interface OpenHeadOptions extends HeadOptions {
  /** Made if missing. Nothing else should live in it. */
  readonly dir: string;
}

/** Throws `HEAD_LOCKED` when another process holds the directory. Call `replay` next. */
export async function openHead(options: OpenHeadOptions, modules: Omit<HeadModules, "opener" | "witness" | "quarantineFile"> & Pick<LevelStoreModules, "signal">): Promise<Head> {
  const { dir, ...headOptions } = options;
  await mkdir(dir, { recursive: true });
  const witness = FileWitness.open(join(dir, "witness"));
  try {
    return await Head.open(headOptions, { ...modules, opener: levelStoreOpener(dir, modules), witness, quarantineFile: keptFile(join(dir, "quarantine.json")) });
  } catch (cause) {
    witness.close();
    throw cause;
  }
}
