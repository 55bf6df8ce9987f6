/**
 * The handshake: the first frames of a link's control channel. It finds a version of the protocol that both speak, and each side proves that it knows
 * the cluster's secret before it learns anything of the other but the versions that it speaks. Nothing else is read from a link before it is over.
 *
 *   dialler                                    dialled side
 *     hello {versions, cluster, nonce}  ->
 *                                       <-     hello
 *     proof                             ->
 *                                       <-     proof, introduction
 *     introduction                      ->
 *                                       <-     welcome
 *   or at any point, and the last frame        refusal {code, sentence}
 *
 *   hello         0x01   "PYRO"   uvarint version min   uvarint version max   text cluster name   32 bytes nonce
 *   proof         0x02   u8 count (0: no secret, at most 2)   count x 32 bytes
 *   introduction  0x03   text member name   text store id   text boot id   text bucket id ("": not known)   text build
 *                        bytes formats   bytes promises (items/announced-formats.ts; not sent by builds from before them)
 *   welcome       0x04
 *   refusal       0x05   u8 code (REFUSALS)   text sentence
 *
 * A text is a uvarint length and UTF-8, bytes have their length before them. Bytes after the last field are ignored, so that later versions can add fields.
 *
 * A proof is HMAC-SHA-256 under each of the side's secrets of: a label, the side's role, the two hellos as they were sent, the two peer ids. So it is
 * of use on no other link (both nonces are fresh, and the encryption of the link proves the peer ids), not to the other role (a proof cannot be
 * sent back to who made it), and it covers the versions (nobody in between can lower them). Either side accepts a proof under either of its secrets:
 * a secret is changed by adding the new one beside the old on every node, and taking the old one away afterwards.
 *
 * This file decides only. `PeerLinks` sends the frames, keeps the time-out and judges introductions.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { ByteReader, ByteWriter, compareBytes, CorruptionError, encodeUtf8, toHex } from "@pyromesh/base";
import { type AnnouncedFormats, faultOfFormats, NO_PROMISES } from "../items/announced-formats.ts";

/** The versions of the peer protocol that this build speaks. History: PROTOCOL.md. */
export const PROTOCOL_MIN: number = 1;
export const PROTOCOL_MAX: number = 1;

export const NONCE_BYTES: number = 32;

/** Their index is their number on the wire: append only. */
export const REFUSALS = ["malformed", "wrong-cluster", "wrong-secret", "missing-secret", "incompatible-version", "other-bucket", "same-store", "same-name", "busy", "self", "timeout", "bucket-unknown"] as const;
export type RefusalCode = (typeof REFUSALS)[number];

export interface Refusal {
  readonly code: RefusalCode;
  /** In words for who runs the refused node. It tells nothing of this one that needs the secret. */
  readonly sentence: string;
}

export interface Introduction extends AnnouncedFormats {
  readonly name: string;
  readonly storeId: string;
  readonly bootId: string;
  /** "": the node could not read it yet, and is linked to nobody. */
  readonly bucketId: string;
  readonly build: string;
}

export interface HandshakeOptions {
  readonly role: "dialler" | "dialled";
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly clusterName: string;
  readonly nonce: Uint8Array;
  readonly ownPeerId: string;
  readonly peerId: string;
  /** None: the cluster has no secret. The first is the current one. */
  readonly secrets: readonly Uint8Array[];
  readonly introduction: Introduction;
}

export type HandshakeStep =
  /** Send these (perhaps none), and wait for the other side's next frame. */
  | { readonly kind: "wait"; readonly frames: readonly Uint8Array[] }
  /** The other side has proven its right to join: call `accept` or `refuse`. */
  | { readonly kind: "judge"; readonly introduction: Introduction }
  /** It is over. Send the frames after the link was admitted. */
  | { readonly kind: "proven"; readonly frames: readonly Uint8Array[]; readonly introduction: Introduction; readonly protocol: number }
  /** Send the frames, then close the link. */
  | { readonly kind: "refused"; readonly frames: readonly Uint8Array[]; readonly refusal: Refusal; readonly isByPeer: boolean };

const KIND = { hello: 1, proof: 2, introduction: 3, welcome: 4, refusal: 5 } as const;
const MAGIC = encodeUtf8("PYRO");
const MAC_BYTES = 32;
const SECRETS_MAX = 2;
const NAME_LENGTH_MAX = 253;
const ID_LENGTH_MAX = 128;
const SENTENCE_LENGTH_MAX = 512;

export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #ownHello: Uint8Array;
  #peerHello: Uint8Array | undefined;
  #protocol = 0;
  #awaits: "hello" | "proof" | "introduction" | "welcome" | "judgement" | "nothing" = "hello";
  #introduction: Introduction | undefined;

  constructor(options: HandshakeOptions) {
    this.#options = options;
    this.#ownHello = encodeHello(options);
  }

  /** The nonce that the other side sent; undefined before its hello. */
  #peerNonce: Uint8Array | undefined;

  get peerNonce(): Uint8Array | undefined {
    return this.#peerNonce;
  }

  begin(): HandshakeStep {
    return this.#wait(this.#options.role === "dialler" ? [this.#ownHello] : []);
  }

  take(frame: Uint8Array): HandshakeStep {
    try {
      const reader = new ByteReader(frame, "a frame of the handshake");
      const kind = reader.u8();
      if (kind === KIND.refusal) return this.#takeRefusal(reader);
      if (this.#awaits === "judgement" || this.#awaits === "nothing" || kind !== KIND[this.#awaits]) return this.refuse({ code: "malformed", sentence: "the handshake's frames did not come in their order" });
      switch (this.#awaits) {
        case "hello":
          return this.#takeHello(reader, frame);
        case "proof":
          return this.#takeProof(reader);
        case "introduction":
          this.#introduction = decodeIntroduction(reader);
          this.#awaits = "judgement";
          return { kind: "judge", introduction: this.#introduction };
        case "welcome":
          return this.#prove([]);
      }
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      return this.refuse({ code: "malformed", sentence: "a frame of the handshake was malformed" });
    }
  }

  /** After `judge`: the introduction is taken. */
  accept(): HandshakeStep {
    if (this.#options.role === "dialled") return this.#prove([Uint8Array.of(KIND.welcome)]);
    this.#awaits = "welcome";
    return { kind: "wait", frames: [encodeIntroduction(this.#options.introduction)] };
  }

  /** At any time: the link ends with this refusal. */
  refuse(refusal: Refusal): HandshakeStep {
    this.#awaits = "nothing";
    const frame = new ByteWriter().u8(KIND.refusal).u8(REFUSALS.indexOf(refusal.code)).text(refusal.sentence.slice(0, SENTENCE_LENGTH_MAX)).finish();
    return { kind: "refused", frames: [frame], refusal, isByPeer: false };
  }

  #wait(frames: readonly Uint8Array[]): HandshakeStep {
    return { kind: "wait", frames };
  }

  #prove(frames: readonly Uint8Array[]): HandshakeStep {
    this.#awaits = "nothing";
    return { kind: "proven", frames, introduction: this.#introduction!, protocol: this.#protocol };
  }

  #takeRefusal(reader: ByteReader): HandshakeStep {
    const code = REFUSALS[reader.u8()] ?? "malformed";
    const sentence = readText(reader, SENTENCE_LENGTH_MAX * 3);
    this.#awaits = "nothing";
    return { kind: "refused", frames: [], refusal: { code, sentence }, isByPeer: true };
  }

  #takeHello(reader: ByteReader, frame: Uint8Array): HandshakeStep {
    const { role, protocolMin, protocolMax, clusterName } = this.#options;
    if (compareBytes(reader.raw(MAGIC.length), MAGIC) !== 0) reader.fail("PYRO", "other bytes");
    const [min, max] = [reader.uvarint(), reader.uvarint()];
    const cluster = readText(reader, NAME_LENGTH_MAX * 3);
    this.#peerNonce = reader.raw(NONCE_BYTES).slice();
    if (cluster !== clusterName) return this.refuse({ code: "wrong-cluster", sentence: `it belongs to another cluster, not to ${JSON.stringify(cluster)}: give both the same --cluster-name` });
    const protocol = Math.min(max, protocolMax);
    if (protocol < Math.max(min, protocolMin)) return this.refuse({ code: "incompatible-version", sentence: `it speaks versions ${versions(protocolMin, protocolMax)} of the peer protocol, the other ${versions(min, max)}: upgrade the older of the two` });
    this.#protocol = protocol;
    this.#peerHello = frame.slice();
    this.#awaits = "proof";
    return this.#wait(role === "dialled" ? [this.#ownHello] : [this.#ownProof()]);
  }

  #takeProof(reader: ByteReader): HandshakeStep {
    const { role, secrets } = this.#options;
    const count = reader.u8();
    if (count > SECRETS_MAX) reader.fail(`at most ${SECRETS_MAX} proofs`, `${count}`);
    const proofs = Array.from({ length: count }, () => reader.raw(MAC_BYTES));
    if (secrets.length === 0 && count > 0) return this.refuse({ code: "missing-secret", sentence: "it has no cluster secret and the other has one: give both the same --cluster-secret-file" });
    if (secrets.length > 0 && count === 0) return this.refuse({ code: "missing-secret", sentence: "it has a cluster secret and the other has none: give both the same --cluster-secret-file" });
    const theirs = role === "dialler" ? "dialled" : "dialler";
    const isKnown = secrets.length === 0 || secrets.some((secret) => proofs.some((proof) => timingSafeEqual(proof, this.#mac(secret, theirs))));
    if (!isKnown) return this.refuse({ code: "wrong-secret", sentence: "the two have different cluster secrets: give both the same --cluster-secret-file" });
    if (role === "dialled") {
      this.#awaits = "introduction";
      return this.#wait([this.#ownProof(), encodeIntroduction(this.#options.introduction)]);
    }
    this.#awaits = "introduction";
    return this.#wait([]);
  }

  #ownProof(): Uint8Array {
    const secrets = this.#options.secrets.slice(0, SECRETS_MAX);
    const writer = new ByteWriter().u8(KIND.proof).u8(secrets.length);
    for (const secret of secrets) writer.raw(this.#mac(secret, this.#options.role));
    return writer.finish();
  }

  /** Every part has its length before it, so that no two different inputs are the same bytes. */
  #mac(secret: Uint8Array, role: "dialler" | "dialled"): Uint8Array {
    const { ownPeerId, peerId } = this.#options;
    const isOwnFirst = this.#options.role === "dialler";
    const writer = new ByteWriter().text("pyromesh handshake 1").text(role);
    for (const hello of isOwnFirst ? [this.#ownHello, this.#peerHello!] : [this.#peerHello!, this.#ownHello]) writer.prefixed(hello);
    for (const id of isOwnFirst ? [ownPeerId, peerId] : [peerId, ownPeerId]) writer.text(id);
    return createHmac("sha256", secret).update(writer.finish()).digest();
  }
}

function versions(min: number, max: number): string {
  return min === max ? `${min}` : `${min} to ${max}`;
}

function encodeHello({ protocolMin, protocolMax, clusterName, nonce }: HandshakeOptions): Uint8Array {
  return new ByteWriter().u8(KIND.hello).raw(MAGIC).uvarint(protocolMin).uvarint(protocolMax).text(clusterName).raw(nonce).finish();
}

function encodeIntroduction({ name, storeId, bootId, bucketId, build, formats, promises }: Introduction): Uint8Array {
  return new ByteWriter().u8(KIND.introduction).text(name).text(storeId).text(bootId).text(bucketId).text(build).prefixed(Buffer.from(formats, "hex")).prefixed(Buffer.from(promises, "hex")).finish();
}

function decodeIntroduction(reader: ByteReader): Introduction {
  const name = readText(reader, NAME_LENGTH_MAX * 3);
  const [storeId, bootId, bucketId, build] = [readText(reader, ID_LENGTH_MAX), readText(reader, ID_LENGTH_MAX), readText(reader, ID_LENGTH_MAX), readText(reader, ID_LENGTH_MAX)];
  if (name === "") reader.fail("a member's name", "none");
  if (!/^[0-9a-f]{32}$/.test(storeId)) reader.fail("a store id of 32 hex digits", JSON.stringify(storeId.slice(0, 64)));
  const formats = readAnnouncement(reader);
  return { name, storeId, bootId, bucketId, build, ...formats };
}

function readAnnouncement(reader: ByteReader): AnnouncedFormats {
  if (reader.remaining === 0) return { formats: "", promises: NO_PROMISES };
  const formats = { formats: toHex(reader.prefixed()), promises: toHex(reader.prefixed()) };
  const fault = faultOfFormats(formats);
  return fault === undefined ? formats : reader.fail("versions of formats", fault);
}

function readText(reader: ByteReader, bytesMax: number): string {
  const text = reader.text();
  if (text.length > bytesMax) reader.fail(`a text of at most ${bytesMax} bytes`, `${text.length}`);
  return text;
}
