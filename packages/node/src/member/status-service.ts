/**
 * What this store says of records that others keep as well (`status`), so that they do not flush what is on its way to the bucket, or there already.
 *
 * What must stay true: "buffered" is said only of a record that this store flushes: of rank 0 by its own entry, or in a cut. Where two stores each take the other for rank 0,
 * neither says it, and the due times decide. One that is still on its way to this disk counts as if it were there: it is in a moment, or it is unknown when it is asked for again.
 * A segment is named only where it is in the bucket, or is one of this store's own. One that waited on another member's disk when a query here read it may be gone with that disk, and who asks would wait for it
 * until the record is late; a store that still has it answers for itself.
 *
 * Bound: an answer reads the identities of at most `SEALED_READS_MAX` sealed files that are not known; of the others it says nothing, and who asks finds them in the bucket.
 */
import { toHex } from "@pyromesh/base";
import { readIdentityBytes } from "@pyromesh/block";
import type { LocalFiles } from "@pyromesh/block";
import type { Head } from "@pyromesh/head";
import type { Peers } from "../cluster/ports.ts";
import { openStatusRequest, packStatusAnswer } from "../cluster/status-message.ts";
import type { RecordStatus, StatusAnswer, StatusRequest, StatusWindow } from "../cluster/status-message.ts";
import type { MatchMemory } from "../release/match-memory.ts";
import type { ReleasedInto } from "../release/released-into.ts";
import type { WindowMatches } from "../release/window-matches.ts";

export interface StatusServiceModules {
  readonly head: Pick<Head, "entry" | "pendingRank" | "storeId">;
  readonly releasedInto: Pick<ReleasedInto, "within">;
  readonly memory: MatchMemory;
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
    const { head, memory, releasedInto } = this.#modules;
    const statuses: RecordStatus[] = [];
    let readsLeft = SEALED_READS_MAX;
    for (const window of windows) {
      readsLeft -= await this.#readSealed(window, readsLeft, signal);
      const matches = memory.find(window.tenant, window.windowStartMs);
      const ownKeys = new Set(releasedInto.within([window.tenant], window.windowStartMs, window.windowStartMs).map(({ key }) => key));
      // In one turn: a record that is sealed or released meanwhile is told in one of the two ways.
      for (let at = 0; at < window.identities.length; at += IDENTITY_BYTES) statuses.push(this.#statusOf(window.identities.subarray(at, at + IDENTITY_BYTES), matches, ownKeys));
    }
    return { storeId: toHex(head.storeId), statuses };
  }

  #statusOf(identity: Uint8Array, matches: WindowMatches | undefined, ownKeys: ReadonlySet<string>): RecordStatus {
    const { head } = this.#modules;
    const entry = head.entry(identity);
    const rank = entry === undefined ? head.pendingRank(identity) : entry.rank;
    if (rank !== undefined) return { kind: rank === 0 || entry?.cutId !== undefined ? "buffered" : "held" };
    const found = matches?.objectsWith(identity).find(({ object }) => object.isUploaded || ownKeys.has(object.key));
    return found === undefined ? { kind: "unknown" } : { kind: "segment", segment: found.object };
  }

  /** Reads sealed segments that wait here and are not known, as after a restart. Returns how many. */
  async #readSealed({ tenant, windowStartMs }: StatusWindow, countMax: number, signal: AbortSignal): Promise<number> {
    const { local, memory, releasedInto } = this.#modules;
    let count = 0;
    for (const object of releasedInto.within([tenant], windowStartMs, windowStartMs)) {
      if (object.isUploaded || memory.of(object) !== undefined) continue;
      if (count >= countMax) break;
      count++;
      try {
        const { identities } = await readIdentityBytes(await local.source(object.key), object.key, signal);
        memory.add(object, identities);
      } catch {
        signal.throwIfAborted(); // a corrupt file is found by its upload, which says so
      }
    }
    return count;
  }
}
