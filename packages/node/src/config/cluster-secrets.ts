/**
 * The secrets of `--cluster-secret-file`: one on each line, two at most. Who knows one of them may join.
 *
 * Two are there while a secret is replaced: the new one is added to the file of every node, and then the old one is taken out of each. A node proves
 * itself under all that it has, and takes a proof under any of them, so at every moment any two nodes have one in common.
 */
import { encodeUtf8, invalidArgument } from "@pyromesh/base";

/** A shorter one can be guessed by who listens to a handshake. */
const SECRET_LENGTH_MIN = 16;
const SECRETS_MAX = 2;

/** Throws CLUSTER_SECRET_INVALID. The sentence never holds a secret. */
export function readClusterSecrets(text: string, file: string): readonly Uint8Array[] {
  const secrets = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (secrets.length === 0) throw refusal(file, 'it is empty: make a secret with "openssl rand -hex 32"');
  if (secrets.length > SECRETS_MAX) throw refusal(file, "it has more than two lines: keep the secret, and one other while it is replaced");
  if (secrets.some(({ length }) => length < SECRET_LENGTH_MIN)) throw refusal(file, `a secret has ${SECRET_LENGTH_MIN} characters or more: make one with "openssl rand -hex 32"`);
  return secrets.map(encodeUtf8);
}

function refusal(file: string, why: string): Error {
  return invalidArgument("CLUSTER_SECRET_INVALID", `the secret in ${file} cannot be used: ${why}`);
}
