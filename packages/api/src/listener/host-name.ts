/**
 * Parses a `Host` header into a canonical form, so that names can be compared. Pure.
 *
 *   host = name [":" port] | IPv4 [":" port] | "[" IPv6 "]" [":" port]
 *
 * Upper case, one dot at the end and the different spellings of an IPv6 address make no difference. An IPv4 address inside an IPv6 one
 * (`::ffff:127.0.0.1`) is the IPv4 address. Everything else is no host: user names, percent signs, blanks, `127.1`.
 */
import { isIPv4, isIPv6 } from "node:net";

export interface HostName {
  /** Lower case, without brackets. */
  readonly name: string;
  readonly isAddress: boolean;
  /** Undefined: the default port of the scheme. */
  readonly port: number | undefined;
}

export function parseHost(text: string): HostName | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{0,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, bare = "", digits = ""] = match;
  const port = digits === "" ? undefined : Number(digits);
  if (bracketed !== undefined) return isIPv6(bracketed) ? { name: canonicalAddress(bracketed), isAddress: true, port } : undefined;
  if (isIPv4(bare)) return { name: bare, isAddress: true, port };
  const name = bare.toLowerCase().replace(/\.$/, "");
  // A name whose last label is a number is an IPv4 address in an old spelling.
  return NAME.test(name) && name.length <= NAME_LENGTH_MAX && !/(^|\.)(\d+|0x[0-9a-f]*)$/.test(name) ? { name, isAddress: false, port } : undefined;
}

/** DNS allows no underscore in a host's name, but names of containers have them. */
const NAME = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;
const NAME_LENGTH_MAX = 253;

/** Takes an address as `net` returns it: `::FFFF:127.0.0.1` becomes `127.0.0.1`, `fe80::1%eth0` becomes `fe80::1`. */
export function canonicalAddress(address: string): string {
  const bare = address.replace(/%.*$/, "");
  if (!isIPv6(bare)) return bare;
  const canonical = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (mapped === null) return canonical;
  const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** `localhost`, `*.localhost`, `127.0.0.0/8`, `::1`: no DNS server answers for these, so no page of another site can have one as its host. */
export function isLoopbackHost({ name, isAddress }: Pick<HostName, "name" | "isAddress">): boolean {
  if (isAddress) return name === "::1" || name.startsWith("127.");
  return name === "localhost" || name.endsWith(".localhost");
}

/** A set of names and addresses. `*.example.org` stands for every name below `example.org`. */
export class HostList {
  readonly #names = new Set<string>();
  /** `.example.org` */
  readonly #endings: string[] = [];

  /** Each pattern as `parseAllowedHost` returns it. */
  constructor(patterns: readonly string[]) {
    for (const pattern of patterns) {
      if (pattern.startsWith("*.")) this.#endings.push(pattern.slice(1));
      else this.#names.add(pattern);
    }
  }

  has({ name }: HostName): boolean {
    return this.#names.has(name) || this.#endings.some((ending) => name.endsWith(ending) && name.length > ending.length);
  }
}

/** The canonical form of one entry of `--allowed-hosts`. Throws an error that says how to write it. */
export function parseAllowedHost(text: string): string {
  const isWildcard = text.startsWith("*.");
  const bare = isWildcard ? text.slice(2) : isIPv6(text) ? `[${text}]` : text;
  const host = parseHost(bare);
  if (host === undefined || host.port !== undefined || bare.endsWith(":") || (isWildcard && host.isAddress)) {
    throw new Error(`${JSON.stringify(text)} is not a host name: write it as profiles.example.org, *.example.org or 10.0.0.5, without a scheme or a port`);
  }
  return isWildcard ? `*.${host.name}` : host.name;
}
