/** The addresses that other members and clients are told: given, or derived from where the node listens. */
import { invalidArgument } from "@pyromesh/base";
import { printAddress } from "./setting.ts";
import type { Address } from "./setting.ts";

export interface Interfaces {
  /** The first address of this machine that is neither loopback nor of its own link only. Undefined: there is none. */
  readonly firstAddress: string | undefined;
}

/** Throws CLUSTER_ADVERTISE_UNKNOWN. `port`: that it listens on, which `listening` may leave open. */
export function advertisedClusterAddress(listening: Address, port: number, given: string | undefined, { firstAddress }: Interfaces): string {
  if (given !== undefined) return given;
  if (!isEveryInterface(listening.host)) return printAddress({ host: listening.host, port });
  if (firstAddress !== undefined) return printAddress({ host: firstAddress, port });
  throw invalidArgument("CLUSTER_ADVERTISE_UNKNOWN", "this machine has no address that others could reach it at: set cluster_advertise to one, as 10.0.0.1:7946");
}

/** Where HTTP listens on every interface, it is reached at the host that the cluster is. */
export function advertisedHttpAddress(listening: Address, port: number, given: string | undefined, clusterAddress: string): string {
  if (given !== undefined) return given;
  const host = isEveryInterface(listening.host) ? clusterAddress.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1") : listening.host;
  return printAddress({ host, port });
}

function isEveryInterface(host: string): boolean {
  return host === "" || host === "0.0.0.0" || host === "::";
}
