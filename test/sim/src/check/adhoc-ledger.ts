/**
 * What clients know about each ad hoc profile that they uploaded, and what became of it in the bucket. It uses no code of the product.
 *
 *   acked      it is in the bucket until it is old, byte for byte
 *   refused    it never is
 *   unknown    it may be
 *
 * Nothing is deleted that is younger than its age by true time, but for SKEW_MS_MAX: so far any clock may be wrong that is believed. One that leaps is wrong by more than is
 * ever believed (design 9: 60 s), so nothing may be deleted by it.
 */
import { SKEW_MS_MAX } from "../world/skew.ts";
import type { AdHocSettings } from "../world/adhoc-settings.ts";
import type { Life } from "../world/scheduler.ts";
import type { BucketListener, BucketUser } from "../world/sim-bucket.ts";
import { Violation } from "./violation.ts";

export interface AdHocUpload {
  readonly tenant: string;
  /** No two have the same. */
  readonly name: string;
  readonly file: Uint8Array;
  /** A function that no other file has; undefined: the file cannot be read, and must be refused. */
  readonly leaf: string | undefined;
  readonly sentMs: number;
  fate: "sent" | "acked" | "refused" | "unknown";
  /** Once it is acked. */
  id: string | undefined;
  /** The first answer that drew it: each later one has the same bytes. */
  drawn: string | undefined;
}

/** An object of the bucket, or one that was there. */
export interface AdHocObject {
  readonly key: string;
  readonly id: string;
  readonly upload: AdHocUpload;
  readonly sizeBytes: number;
  readonly putMs: number;
  /** The time in its id, which is by the clock of the node that took it, on the scale of `putMs`. */
  readonly idMs: number;
  /** Infinity: it is there. */
  deletedMs: number;
}

export interface AdHocLedgerModules {
  /** Virtual time since the world began. */
  readonly nowMs: () => number;
  readonly fail: (error: Error) => void;
}

const HEADER_BYTES = 16;

export class AdHocLedger implements BucketListener {
  readonly settings: AdHocSettings;
  readonly #epochMs: number;
  readonly #modules: AdHocLedgerModules;
  readonly #uploads = new Map<string, AdHocUpload>();
  /** By key. */
  readonly #objects = new Map<string, AdHocObject>();
  /** Runs of a node that is alone and whose bucket has no clock, and that began while the wall clock was wrong: nobody can tell them (operation.md). */
  readonly misled: Set<Life> = new Set();

  constructor(settings: AdHocSettings, epochMs: number, modules: AdHocLedgerModules) {
    this.settings = settings;
    this.#epochMs = epochMs;
    this.#modules = modules;
  }

  open({ file, leaf, tenant }: Pick<AdHocUpload, "file" | "leaf" | "tenant">, ending: string): AdHocUpload {
    const upload: AdHocUpload = { tenant, name: `upload_${this.#uploads.size + 1}${ending}`, file, leaf, sentMs: this.#modules.nowMs(), fate: "sent", id: undefined, drawn: undefined };
    this.#uploads.set(upload.name, upload);
    return upload;
  }

  nextNumber(): number {
    return this.#uploads.size + 1;
  }

  get objects(): readonly AdHocObject[] {
    return [...this.#objects.values()];
  }

  get acked(): readonly AdHocUpload[] {
    return [...this.#uploads.values()].filter(({ fate }) => fate === "acked");
  }

  objectOf(tenant: string, id: string): AdHocObject | undefined {
    return this.#objects.get(`adhoc/${tenant}/${id}`);
  }

  // --- what happens in the bucket -----------------------------------------------------------------------------------------

  put(key: string, bytes: Uint8Array): void {
    if (!key.startsWith("adhoc/") || this.#objects.has(key)) return;
    const { id = "", name = "", tenant = "" } = /^adhoc\/(?<tenant>[^/]+)\/(?<id>[0-9A-HJKMNP-TV-Z]{26}-(?<name>.+))$/.exec(key)?.groups ?? {};
    const upload = this.#uploads.get(name);
    if (upload === undefined) return this.#fail("nothing-else", `${key} was put, and nobody uploaded it`);
    if (upload.tenant !== tenant) return this.#fail("tenants-never-meet", `${key} was put, and ${upload.tenant} uploaded it`);
    if (upload.leaf === undefined || upload.fate === "refused") this.#fail("nothing-else", `${key} was put, though it ${upload.leaf === undefined ? "cannot be read" : "was refused"}`);
    if (Buffer.compare(bytes.subarray(HEADER_BYTES), upload.file) !== 0) this.#fail("acked-is-kept", `${key} was put with other bytes than the ${upload.file.length} that were uploaded`);
    this.#objects.set(key, { key, id, upload, sizeBytes: bytes.length, putMs: this.#modules.nowMs(), idMs: timeOf(id) - this.#epochMs, deletedMs: Infinity });
  }

  deleted(key: string, { life }: BucketUser): void {
    if (!key.startsWith("adhoc/")) return;
    const object = this.#objects.get(key);
    if (object === undefined || object.deletedMs < Infinity) return;
    object.deletedMs = this.#modules.nowMs();
    const aged = object.deletedMs - object.putMs;
    if (aged + SKEW_MS_MAX > this.settings.ageMs || this.misled.has(life)) return;
    this.#fail("acked-is-kept", `${life.name} deleted ${key} ${Math.round(aged)} ms after it was uploaded, and it is kept for ${this.settings.ageMs} ms`);
  }

  // --- what a node says -----------------------------------------------------------------------------------------------------

  noteAcked(upload: AdHocUpload, id: string): void {
    upload.fate = "acked";
    upload.id = id;
    if (upload.leaf === undefined) throw new Violation("nothing-else", `${upload.name} cannot be read, and was accepted`);
    if (this.objectOf(upload.tenant, id) === undefined) throw new Violation("acked-is-kept", `${upload.name} was acked as ${id}, and is not in the bucket`);
  }

  /**
   * The room that an upload must have found, and may not have found: of what was there all the time and every LIST shows, and of what may have been there at some moment.
   * `lateMs`: how late a LIST may be.
   */
  usedBy({ name, sentMs, tenant }: AdHocUpload, lateMs: number): { readonly least: Usage; readonly most: Usage } {
    const others = this.objects.filter(({ upload }) => upload.tenant === tenant && upload.name !== name);
    const nowMs = this.#modules.nowMs();
    return {
      least: usageOf(others.filter(({ deletedMs, putMs }) => putMs <= sentMs - lateMs && deletedMs > nowMs)),
      most: usageOf(others.filter(({ deletedMs }) => deletedMs >= sentMs)),
    };
  }

  #fail(checker: "acked-is-kept" | "nothing-else" | "tenants-never-meet", message: string): void {
    this.#modules.fail(new Violation(checker, message));
  }
}

export interface Usage {
  readonly count: number;
  readonly sizeBytes: number;
}

function usageOf(objects: readonly AdHocObject[]): Usage {
  return { count: objects.length, sizeBytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

/** Of a ULID: ten digits of five bits. */
function timeOf(id: string): number {
  return [...id.slice(0, 10)].reduce((timeMs, digit) => timeMs * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".indexOf(digit), 0);
}
