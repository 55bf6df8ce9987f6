/**
 * Who this node is in its cluster, kept in the data directory: its name, and the seed of the private key by which others know it.
 *
 *   {"format":1,"name":"node-1.example.org:7946","seed":"<64 hex digits>"}
 *
 * An empty data directory is a new store; it is the same member where the setting or the address gives it the same name.
 */
import { CorruptionError, invalidArgument, messageOf, toHex } from "@pyromesh/base";
import type { AtomicFile, Random } from "@pyromesh/base";

export interface MemberIdentity {
  readonly name: string;
  /** 32 bytes. */
  readonly seed: Uint8Array;
}

const FORMAT = 1;
const SEED_BYTES = 32;

/** `given`: `--node-name`; `byDefault`: the name of a first start without it. Rejects NODE_NAME_DIFFERS where the data directory is another member's. */
export async function openMemberIdentity(file: AtomicFile, names: { readonly given: string | undefined; readonly byDefault: string }, random: Random): Promise<MemberIdentity> {
  const bytes = await file.read();
  if (bytes === undefined) {
    const made = { name: names.given ?? names.byDefault, seed: random.bytes(SEED_BYTES) };
    await file.write(encode(made));
    return made;
  }
  const kept = decode(bytes);
  if (names.given !== undefined && names.given !== kept.name) {
    throw invalidArgument("NODE_NAME_DIFFERS", `this data directory belongs to the member ${JSON.stringify(kept.name)}, and --node-name is ${JSON.stringify(names.given)}: correct the setting, or name another directory with --data-dir`);
  }
  return kept;
}

function encode({ name, seed }: MemberIdentity): Uint8Array {
  return Buffer.from(`${JSON.stringify({ format: FORMAT, name, seed: toHex(seed) })}\n`);
}

function decode(bytes: Uint8Array): MemberIdentity {
  const refuse = (found: string): never => {
    throw new CorruptionError({ object: "the member's identity (cluster/key in the data directory)", offset: 0, expected: `an object of format ${FORMAT} with name and seed`, found });
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    return refuse(messageOf(error));
  }
  const { format, name, seed } = (parsed ?? {}) as Record<string, unknown>;
  if (format !== FORMAT) return refuse(`format ${JSON.stringify(format)}`);
  if (typeof name !== "string" || name === "" || typeof seed !== "string" || !/^[0-9a-f]{64}$/.test(seed)) return refuse("something else");
  return { name, seed: Buffer.from(seed, "hex") };
}
