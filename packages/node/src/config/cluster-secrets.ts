/**
 * The secrets of `--cluster-secret-file`. Who knows one of them may join.
 *
 *   line 1   the secret: what this node proves itself with, and takes from others
 *   line 2   optional: another one that it takes from others. To replace the secret while the cluster runs, give every node the new one as line 2, then
 *            swap the lines everywhere, then take the old one out
 */
import { invalidArgument } from "@pyromesh/base";

export interface ClusterSecrets {
  readonly current: string;
  readonly other: string | undefined;
}

/** A shorter one can be guessed by who listens to a handshake. */
const SECRET_LENGTH_MIN = 16;

/** Throws CLUSTER_SECRET_INVALID. The sentence never holds a secret. */
export function readClusterSecrets(text: string, file: string): ClusterSecrets {
  const lines = text.split("\n").map((line) => line.trim());
  while (lines.length > 1 && lines.at(-1) === "") lines.pop();
  const [current = "", other, ...more] = lines;
  if (more.length > 0) throw refusal(file, "it has more than two lines: keep the secret, and at most one other that is valid at the same time");
  for (const secret of other === undefined ? [current] : [current, other]) {
    if (secret.length < SECRET_LENGTH_MIN) throw refusal(file, `a secret has ${SECRET_LENGTH_MIN} characters or more: make one with "openssl rand -hex 32"`);
  }
  return { current, other };
}

function refusal(file: string, why: string): Error {
  return invalidArgument("CLUSTER_SECRET_INVALID", `the secret in ${file} cannot be used: ${why}`);
}
