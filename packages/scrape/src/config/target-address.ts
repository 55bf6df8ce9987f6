/** The address of a target: `host:port`, `[v6]:port` or a host alone, as it stands in `static_configs` and in the label `__address__`. */

/** A sentence, or undefined where it is right. */
export function faultOfAddress(address: string): string | undefined {
  if (address === "") return "it has no address";
  if (address.includes("://")) return `${JSON.stringify(address)} is a URL: write host:port, and the rest as scheme and path of the profile`;
  if (/[/?#@\s]/.test(address)) return `${JSON.stringify(address)} is not host:port: take out path and query, which belong to the profile's path and to params`;
  const match = ADDRESS.exec(address);
  if (match === null) return `${JSON.stringify(address)} is not an address: write it as 10.0.0.1:6060, [fd00::1]:6060 or app.example.org:6060`;
  const port = match[1];
  if (port !== undefined && (Number(port) === 0 || Number(port) > 65535)) return `${JSON.stringify(address)} has no port between 1 and 65535`;
  return undefined;
}

/** The address with a port: that of the scheme where it has none. */
export function withPort(address: string, scheme: "http" | "https"): string {
  return ADDRESS.exec(address)?.[1] === undefined ? `${address}:${scheme === "https" ? 443 : 80}` : address;
}

/** In square brackets what is IPv6; else no colon but the one before the port. */
const ADDRESS = /^(?:\[[0-9a-fA-F:.]+(?:%[^\]\s]+)?\]|[^:[\]]+)(?::(\d{1,5}))?$/;
