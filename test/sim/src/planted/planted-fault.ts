/**
 * A planted fault: a patch of test/sim/planted/ and what stands before its first hunk.
 *
 *   <what is wrong, as one sentence>
 *   Found by: <checkers that may find it>
 *   Nodes: 3                   where it takes a cluster
 *   Programs: yes              where only seeds whose members scrape programs can show it: a search skips the others
 *   Ad hoc: yes                where only seeds that keep ad hoc profiles can show it: a search skips the others
 *   Fault: <part of a name>    where only seeds with this fault of the whole node can show it (world/faults.ts): a search skips the others
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

export interface PlantedFault {
  readonly name: string;
  readonly file: string;
  readonly story: string;
  readonly checkers: readonly string[];
  /** How many nodes a history has that may find it. */
  readonly nodeCount: number;
  /** A search skips seeds whose members scrape no programs. */
  readonly takesPrograms: boolean;
  /** A search skips seeds that keep no ad hoc profiles. */
  readonly takesAdHoc: boolean;
  /** A search skips seeds that have no such fault of the whole node. */
  readonly fault: string | undefined;
}

/** By name. */
export function readPlantedFaults(folder: string): readonly PlantedFault[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".patch"));
  return files.sort().map((file) => {
    const text = readFileSync(path.join(folder, file), "utf8");
    const [story = "", ...head] = text.slice(0, text.indexOf("\n\n")).split("\n");
    const fields = new Map(head.map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
    const checkers = fields.get("Found by")?.split(", ") ?? [];
    if (checkers.length === 0) throw new Error(`${file}: no line "Found by: CHECKER" before the patch`);
    return { name: file.replace(/\.patch$/, ""), file: path.join(folder, file), story, checkers, nodeCount: Number(fields.get("Nodes") ?? 1), takesPrograms: fields.get("Programs") === "yes", takesAdHoc: fields.get("Ad hoc") === "yes", fault: fields.get("Fault") };
  });
}
