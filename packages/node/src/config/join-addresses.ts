/**
 * The addresses behind `--join`, found anew at each try: names in DNS change their addresses, and files their lines.
 *
 * An entry that cannot be resolved now is left out and told of, since another one may lead to the cluster.
 */
import { messageOf } from "@pyromesh/base";
import { printJoinEntry, readJoinFile } from "./join-entry.ts";
import type { JoinEntry } from "./join-entry.ts";
import { printAddress } from "./setting.ts";

export interface JoinAddressesModules {
  /** Every address of a host. */
  readonly lookup: (host: string) => Promise<readonly string[]>;
  readonly readFile: (path: string) => Promise<string>;
  /** An entry that cannot be resolved, and why. */
  readonly onProblem: (entry: string, problem: string) => void;
}

/** More are not tried at once: a file or a name with more addresses has enough of them here. */
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

async function addressesOf(entry: JoinEntry, { lookup, readFile }: JoinAddressesModules): Promise<readonly string[]> {
  switch (entry.kind) {
    case "address":
      return [printAddress(entry.address)];
    case "dns": {
      const { host, port } = entry.address;
      return (await lookup(host)).map((address) => printAddress({ host: address, port }));
    }
    case "file":
      return readJoinFile(await readFile(entry.path)).map(printAddress);
  }
}
