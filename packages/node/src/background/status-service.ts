/**
 * What this store says of records that others keep as well (`status`), so that they do not flush what is on its way to the bucket, or there already.
 *
 * What must stay true: "buffered" is said only of a record that this store flushes: of rank 0 by its own entry, or in a cut. Where two stores each take the other for rank 0,
 * neither says it, and the due times decide.
 *
 * Bound: an answer reads the identities of at most `SEALED_READS_MAX` sealed files that are not known; of the others it says nothing, and who asks finds them in the bucket.
 */
import { toHex } from "@pyromesh/base";
import type { HeardObject, LocalFiles } from "@pyromesh/block";
import { readIdentityBytes } from "@pyromesh/block";
import type { Head } from "@pyromesh/head";
import type { Peers } from "../cluster/ports.ts";
import { openStatusRequest, packStatusAnswer } from "../cluster/status-message.ts";
import type { RecordStatus, StatusAnswer, StatusRequest, StatusWindow } from "../cluster/status-message.ts";
import type { KnownIdentities } from "./known-identities.ts";
import { ObjectIdentities } from "./object-identities.ts";
import type { ReleasedInto } from "./released-into.ts";

export interface StatusServiceModules {
  readonly head: Pick<Head, "entry" | "storeId">;
  readonly releasedInto: Pick<ReleasedInto, "within">;
  readonly known: KnownIdentities;
  readonly local: Pick<LocalFiles, "source">;
}

const SEALED_READS_MAX = 16;
const IDENTITY_BYTES = 16;

export class StatusService {
  readonly #modules: StatusServiceModules;

  constructor(modules: StatusServiceModules) {
    this.#modules = modules;
  }

  serve(peers: Peers): void {
    peers.handle("status", async (_, body, signal) => packStatusAnswer(await this.answer(openStatusRequest(body), signal)));
  }

  async answer({ windows }: StatusRequest, signal: AbortSignal): Promise<StatusAnswer> {
    const statuses: RecordStatus[] = [];
    let readsLeft = SEALED_READS_MAX;
    for (const window of windows) {
      const { segments, readCount } = await this.#segmentsOf(window, readsLeft, signal);
      readsLeft -= readCount;
      // In one turn: a record that is sealed or released meanwhile is told in one of the two ways.
      for (let at = 0; at < window.identities.length; at += IDENTITY_BYTES) statuses.push(this.#statusOf(window.identities.subarray(at, at + IDENTITY_BYTES), segments));
    }
    return { storeId: toHex(this.#modules.head.storeId), statuses };
  }

  #statusOf(identity: Uint8Array, segments: readonly ObjectIdentities[]): RecordStatus {
    const entry = this.#modules.head.entry(identity);
    if (entry !== undefined) return { kind: entry.rank === 0 || entry.cutId !== undefined ? "buffered" : "held" };
    const found = segments.find((segment) => segment.has(identity));
    return found === undefined ? { kind: "unknown" } : { kind: "segment", segment: found.object };
  }

  /** Those into which records of the window went, as far as their identities are known. */
  async #segmentsOf({ tenant, windowStartMs }: StatusWindow, readsLeft: number, signal: AbortSignal): Promise<{ readonly segments: readonly ObjectIdentities[]; readonly readCount: number }> {
    const { known, releasedInto } = this.#modules;
    const segments: ObjectIdentities[] = [];
    let readCount = 0;
    for (const object of releasedInto.within([tenant], windowStartMs, windowStartMs)) {
      let identities = known.of(object.key);
      if (identities === undefined && !object.isUploaded && readCount < readsLeft) {
        readCount++;
        identities = await this.#read(object, signal).catch(() => undefined); // its upload finds a corrupt file, and says so
      }
      if (identities !== undefined) segments.push(identities);
    }
    return { segments, readCount };
  }

  async #read(object: HeardObject, signal: AbortSignal): Promise<ObjectIdentities> {
    const { known, local } = this.#modules;
    const { identities } = await readIdentityBytes(await local.source(object.key), object.key, signal);
    const read = new ObjectIdentities(object, identities);
    known.add(read);
    return read;
  }
}
