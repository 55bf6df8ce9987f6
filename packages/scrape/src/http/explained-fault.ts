/**
 * Why no reply came, with what to do about it. Node.js names the system's code, and of a TLS connection prints OpenSSL's line, which helps nobody who only
 * knows an address and a scheme. Errors without an entry here stay as they are.
 */
import { messageOf } from "@pyromesh/base";

/** The same error, with its code, its cause, and a message in one line. */
export function explainedFault(error: unknown): unknown {
  const { code } = error as { readonly code?: unknown };
  const advice = typeof code === "string" ? ADVICE[code] : undefined;
  if (advice === undefined) return error;
  const message = code === "EPROTO" ? advice : `${messageOf(error)}: ${advice}`;
  return Object.assign(new Error(message, { cause: error }), { code });
}

const CHECK_ROUTE = "check the address, and the network on the way";
const TRUST_CA = "if it is the right server, name its CA in tls_config: {ca_file: ...}";

/** By the code of Node.js. */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "check that the program runs and listens there",
  ECONNRESET: "the connection was closed before a reply came; check that the port speaks HTTP, and the scheme",
  EPROTO: "the port does not speak TLS as it is asked to: check the scheme and the port",
  ENOTFOUND: "check the host's name, and the DNS of this node's machine",
  EAI_AGAIN: "the DNS of this node's machine did not answer",
  EHOSTUNREACH: CHECK_ROUTE,
  ENETUNREACH: CHECK_ROUTE,
  ETIMEDOUT: CHECK_ROUTE,
  DEPTH_ZERO_SELF_SIGNED_CERT: TRUST_CA,
  SELF_SIGNED_CERT_IN_CHAIN: TRUST_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TRUST_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TRUST_CA,
  ERR_TLS_CERT_ALTNAME_INVALID: "write the name that its certificate has as tls_config: {server_name: ...}",
};
