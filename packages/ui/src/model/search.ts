/**
 * A search and the boxes of a flame graph that match it. Typed text matches every function whose name contains it, in any case. A
 * function chosen in the table matches only that name.
 */
import { shownName } from "./box-text.ts";
import { unreachable } from "./unreachable.ts";
import type { FlameGraphLayout } from "./flame-graph-layout.ts";

export type SearchTerm =
  | { readonly kind: "none" }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "function"; readonly name: string };

export interface SearchMatches {
  readonly isMatch: Uint8Array;
  /** Number of matching boxes before each box. It has one more entry than there are boxes. */
  readonly countBefore: Uint32Array;
  readonly functionCount: number;
}

export const NO_SEARCH: SearchTerm = { kind: "none" };

export function searchFor(text: string): SearchTerm {
  return text.trim() === "" ? NO_SEARCH : { kind: "text", text };
}

export function nameTest(term: SearchTerm): (name: string) => boolean {
  switch (term.kind) {
    case "none":
      return () => false;
    case "text": {
      const wanted = term.text.trim().toLowerCase();
      return (name) => shownName(name).toLowerCase().includes(wanted);
    }
    case "function":
      return (name) => name === term.name;
    default:
      return unreachable(term);
  }
}

/** Undefined where there is no search. The root never matches. */
export function findMatches(layout: FlameGraphLayout, term: SearchTerm): SearchMatches | undefined {
  if (term.kind === "none") return undefined;
  const isWanted = nameTest(term);
  const isNameMatch = Uint8Array.from(layout.names, (name) => (isWanted(name) ? 1 : 0));
  const seen = new Uint8Array(layout.names.length);
  const isMatch = new Uint8Array(layout.boxCount);
  const countBefore = new Uint32Array(layout.boxCount + 1);
  let functionCount = 0;
  for (let box = 0; box < layout.boxCount; box += 1) {
    const name = layout.name[box]!;
    if (box > 0 && isNameMatch[name] === 1) {
      isMatch[box] = 1;
      functionCount += 1 - seen[name]!;
      seen[name] = 1;
    }
    countBefore[box + 1] = countBefore[box]! + isMatch[box]!;
  }
  return { isMatch, countBefore, functionCount };
}

/** The value of the matching boxes within `root`, each value once: a match below another match adds nothing. */
export function matchedTotal(layout: FlameGraphLayout, matches: SearchMatches, root: number): number {
  if (layout.boxCount === 0) return 0;
  for (let above = root; above > 0; above = layout.parent[above]!) {
    if (matches.isMatch[above] === 1) return layout.total[root]!;
  }
  let sum = 0;
  const open = [root];
  while (open.length > 0) {
    const box = open.pop()!;
    if (matches.isMatch[box] === 1) {
      sum += layout.total[box]!;
      continue;
    }
    for (let child = layout.childStart[box]!, left = layout.childCount[box]!; left > 0; child += 1, left -= 1) open.push(child);
  }
  return sum;
}
