/**
 * Decides who may change the node: a process on this machine, but not a web page that a user of this machine has open. The browser is a
 * loopback peer too, so requests with a page's headers (Origin, Sec-Fetch-Site) are checked further.
 */
import { CodedError } from "@pyromesh/base";

/** Returns why the request is refused (403), or undefined. `peer` is the remote address of the socket. */
export function refuseOperator(peer: string | undefined, headers: Readonly<Record<string, string>>): CodedError | undefined {
  if (!isLoopback(peer)) return refusal("OPERATOR_NOT_LOCAL", "only a peer on this machine may do this: send it to 127.0.0.1 there, or set --admin-addr");
  // A proxy on this machine is a loopback peer for clients from anywhere.
  if (headers["forwarded"] !== undefined || headers["x-forwarded-for"] !== undefined) {
    return refusal("OPERATOR_FORWARDED", "this was forwarded by a proxy: send it to the node's own address");
  }
  return isOtherSite(headers) ? refusal("OPERATOR_CROSS_ORIGIN", "a web page of another origin may not do this: use a command line") : undefined;
}

function refusal(code: string, message: string): CodedError {
  return new CodedError({ code, kind: "permission_denied", message });
}

export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (address === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address));
}

function isOtherSite(headers: Readonly<Record<string, string>>): boolean {
  const { origin, host = "" } = headers;
  const site = headers["sec-fetch-site"];
  if (origin === undefined && site === undefined) return false;
  // With DNS rebinding an attacker's name for this address is "same origin" to the browser, so only loopback names count.
  if (!/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host)) return true;
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  return origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`;
}
