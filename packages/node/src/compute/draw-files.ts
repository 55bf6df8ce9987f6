/** Draws files of profiles that people uploaded, one or two for a diff, as the bytes of the reply. Pure; called in a worker, which keeps nothing. */
import { printAdHocDiff, printAdHocGraph } from "@pyromesh/api/print";
import { assert, CodedError, invalidArgument } from "@pyromesh/base";
import { flameGraph, flameGraphDiff, namedRefusal } from "@pyromesh/profile";
import type { Interrupt } from "@pyromesh/profile";
import { readProfileFile } from "@pyromesh/profile/files";
import type { FileProfile } from "@pyromesh/profile/files";
import { openBody } from "./body-size.ts";
import type { DrawnFile, DrawTask, Finished } from "./compute.ts";

/** `nonce`: 16 random bytes, which seed hash tables. */
export function drawFiles(task: DrawTask, nonce: Uint8Array, interrupt: Interrupt): Finished {
  const { files, form, maxNodes, reply } = task;
  const [first, second] = files;
  assert(first !== undefined, "a drawing is of a file");
  const left = readFile(first, task, nonce, interrupt);
  if (second === undefined) {
    assert(reply !== undefined, "the reply of one file names it");
    const chosen = choose(left, task.profileType);
    const { graph, isSaturated } = flameGraph(chosen.tree(interrupt), maxNodes);
    return { kind: "reply", bytes: printAdHocGraph(graph, chosen.metadata, { ...reply, profileTypes: left.map(({ name }) => name) }, form, interrupt), isSaturated };
  }
  const right = readFile(second, task, nonce, interrupt);
  const { common, sides } = chooseBoth(left, right, task.profileType);
  const { graph, isSaturated } = flameGraphDiff(sides[0].tree(interrupt), sides[1].tree(interrupt), maxNodes, interrupt);
  return { kind: "reply", bytes: printAdHocDiff(graph, sides[0].metadata, common, form, interrupt), isSaturated };
}

function readFile({ name, bytes }: DrawnFile, { limits }: DrawTask, nonce: Uint8Array, interrupt: Interrupt): readonly FileProfile[] {
  try {
    return readProfileFile(openBody(bytes, limits.profileSizeBytesMax), name, { limits, nonce }, interrupt);
  } catch (thrown) {
    throw thrown instanceof CodedError && thrown.kind === "invalid_argument" ? namedRefusal(name === "" ? "the file" : name, thrown) : thrown;
  }
}

/** As Pyroscope: a type that the file does not have is no error, and the reply says which one was drawn. */
function choose(profiles: readonly FileProfile[], wanted: string | undefined): FileProfile {
  return profiles.find(({ name }) => name === wanted) ?? profiles[0]!; // a file has one type at least
}

/** Throws ADHOC_TYPES_DIFFER. Each side is drawn by the wanted type, else by its first; both must come out the same. */
function chooseBoth(left: readonly FileProfile[], right: readonly FileProfile[], wanted: string | undefined): { readonly common: readonly string[]; readonly sides: readonly [FileProfile, FileProfile] } {
  const names = new Set(right.map(({ name }) => name));
  const common = left.map(({ name }) => name).filter((name) => names.has(name));
  const sides = [choose(left, wanted), choose(right, wanted)] as const;
  if (common.length === 0) throw typesDiffer(`the left profile has the types ${listed(left)} and the right one ${listed(right)}: compare profiles of one type`);
  if (sides[0].name !== sides[1].name) throw typesDiffer(`the left profile would be drawn by ${shown(sides[0].name)} and the right one by ${shown(sides[1].name)}: send as profile_type one of ${common.slice(0, NAMES_TOLD_MAX).map(shown).join(", ")}`);
  return { common, sides };
}

/** Names of types that an error tells. A pprof may have thousands. */
const NAMES_TOLD_MAX = 20;
const NAME_LENGTH_TOLD_MAX = 100;

function listed(profiles: readonly FileProfile[]): string {
  const told = profiles.slice(0, NAMES_TOLD_MAX).map(({ name }) => shown(name));
  return told.length < profiles.length ? `${told.join(", ")} and ${profiles.length - told.length} more` : told.join(", ");
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, NAME_LENGTH_TOLD_MAX));
}

function typesDiffer(message: string): CodedError {
  return invalidArgument("ADHOC_TYPES_DIFFER", message);
}
