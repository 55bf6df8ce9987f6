/** The table of test/sim/planted/README.md: which seed found each planted fault last. The text before the table is kept. */
import { readFileSync, writeFileSync } from "node:fs";

export interface FoundRow {
  readonly name: string;
  readonly nodeCount: number;
  readonly checker: string;
  /** Of seeds counted from 1. */
  readonly seed: number;
}

const TITLES = "| planted | nodes | found by | seed |";
const ROW = /^\| `(?<name>[^`]+)` \| (?<nodes>\d+) \| `(?<checker>[^`]+)` \| (?<seed>\d+) \|$/;

export function readFoundTable(file: string): Map<string, FoundRow> {
  const rows = new Map<string, FoundRow>();
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const { checker, name, nodes, seed } = ROW.exec(line)?.groups ?? {};
    if (name !== undefined && checker !== undefined) rows.set(name, { name, nodeCount: Number(nodes), checker, seed: Number(seed) });
  }
  return rows;
}

export function writeFoundTable(file: string, rows: Iterable<FoundRow>): void {
  const text = readFileSync(file, "utf8");
  const at = text.indexOf(TITLES);
  if (at < 0) throw new Error(`${file}: no line ${TITLES}`);
  const lines = [...rows].sort((a, b) => (a.name < b.name ? -1 : 1)).map(({ checker, name, nodeCount, seed }) => `| \`${name}\` | ${nodeCount} | \`${checker}\` | ${seed} |`);
  writeFileSync(file, `${text.slice(0, at)}${[TITLES, "|---|---|---|---|", ...lines].join("\n")}\n`);
}
