/**
 * The addresses behind `--join`, read anew at each try, since the lines of a file change. Membership resolves the hosts in them, each time too.
 *
 * A file that cannot be read now is left out and told of, since another entry may lead to the cluster.
 */
import { messageOf } from "@pyromesh/base";
import { printJoinEntry, readJoinFile } from "./join-entry.ts";
import type { JoinEntry } from "./join-entry.ts";
import { printAddress } from "./setting.ts";

export interface JoinAddressesModules {
  readonly readFile: (path: string) => Promise<string>;
  /** An entry that cannot be read, and why. */
  readonly onProblem: (entry: string, problem: string) => void;
}

/** A file with more has enough of them here. */
export const JOIN_ADDRESSES_MAX = 1000;

/** `host:port` each, once. Never rejects. */
export async function joinAddresses(entries: readonly JoinEntry[], modules: JoinAddressesModules): Promise<readonly string[]> {
  const found = await Promise.all(
    entries.map(async (entry) => {
      try {
        return await addressesOf(entry, modules);
      } catch (error) {
        modules.onProblem(printJoinEntry(entry), messageOf(error));
        return [];
      }
    }),
  );
  return [...new Set(found.flat())].slice(0, JOIN_ADDRESSES_MAX);
}

/** How many nodes the addresses stand for, this one included. `self`: the address that it tells others; one that is written differently counts twice. */
export function joinAddressCount(addresses: readonly string[], self: string): number {
  return new Set([...addresses, self]).size;
}

async function addressesOf(entry: JoinEntry, { readFile }: JoinAddressesModules): Promise<readonly string[]> {
  return (entry.kind === "file" ? readJoinFile(await readFile(entry.path)) : [entry.address]).map(printAddress);
}
