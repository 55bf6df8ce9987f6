/**
 * A member to join, as `--join` names it:
 *
 *   host:port        one member; of a name every address is tried, resolved anew each time
 *   dns+host:port    a name with many addresses, as of a headless service of Kubernetes: it says nothing of how many members there are
 *   file:path        the addresses in that file, one a line (empty lines and those that begin with # are left out), read again at each try
 */
import { parseAddress, printAddress } from "./setting.ts";
import type { Address } from "./setting.ts";

export type JoinEntry = { readonly kind: "address" | "dns"; readonly address: Address } | { readonly kind: "file"; readonly path: string };

/** Throws a sentence that shows how to write it. */
export function parseJoinEntry(text: string): JoinEntry {
  if (text.startsWith("file:")) {
    const path = text.slice("file:".length).replace(/^\/\/(?=\/)/, "");
    if (path === "") throw new Error("file: names no file: write it as file:/etc/pyromesh/members");
    return { kind: "file", path };
  }
  const isDns = text.startsWith("dns+");
  return { kind: isDns ? "dns" : "address", address: reachable(isDns ? text.slice("dns+".length) : text) };
}

export function printJoinEntry(entry: JoinEntry): string {
  if (entry.kind === "file") return `file:${entry.path}`;
  return `${entry.kind === "dns" ? "dns+" : ""}${printAddress(entry.address)}`;
}

/** The addresses in such a file. Throws a sentence that names the line. */
export function readJoinFile(text: string): Address[] {
  return text.split("\n").flatMap((line, index) => {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) return [];
    try {
      return [reachable(entry)];
    } catch (thrown) {
      throw new Error(`line ${index + 1}: ${(thrown as Error).message}`, { cause: thrown });
    }
  });
}

/** An address that another machine can be told: with a host and a port. */
export function reachable(text: string): Address {
  let address: Address | undefined;
  try {
    address = parseAddress(text);
  } catch {
    // Said below, with an example that fits.
  }
  if (address === undefined || address.port === 0 || address.host === "" || address.host === "0.0.0.0" || address.host === "::") {
    throw new Error(`${JSON.stringify(text)} is no address that a node is reached at: write it as node-1.example.org:7946 or 10.0.0.1:7946`);
  }
  return address;
}
