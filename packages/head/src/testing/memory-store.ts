/**
 * An ordered store in memory whose power can be cut: what was not synced is gone then, whole batches at a time from the end,
 * as LevelDB's log loses them. It stands for the disk; each `open` gives a new handle on it.
 */
import { compareBytes } from "@pyromesh/base";
import type { KeyRange, OpenedStore, OrderedStore, StoreEntry, StoreOp, StoreOpener } from "../entries/store.ts";

export class MemoryDisk implements StoreOpener {
  /** By key in latin1, which sorts as the bytes do. */
  #synced = new Map<string, Uint8Array>();
  #unsynced: (readonly StoreOp[])[] = [];
  #live = new Map<string, Uint8Array>();
  #handle = 0;
  /** Called before each batch; throwing refuses it. May return "after" to refuse it after it was kept. */
  onBatch: ((ops: readonly StoreOp[]) => Promise<"after" | void> | "after" | void) | undefined;
  /** Called before each opening; throwing refuses it. */
  onOpen: (() => void) | undefined;
  batchCount = 0;

  /** Power loss: every handle dies, unsynced batches are gone. */
  crash(): void {
    this.#handle++;
    this.#unsynced = [];
    this.#live = new Map(this.#synced);
  }

  async open(_options: { readonly isRepairing: boolean }): Promise<OpenedStore> {
    this.onOpen?.();
    return { store: this.#openHandle(), loss: undefined };
  }

  async repair(): Promise<void> {}

  async release(): Promise<void> {}

  /** Reaches under the store, as bad media do. `undefined` removes. */
  tamper(key: Uint8Array, change: (value: Uint8Array) => Uint8Array | undefined): void {
    for (const map of [this.#live, this.#synced]) {
      const value = map.get(textOf(key));
      if (value === undefined) continue;
      const changed = change(Uint8Array.from(value));
      if (changed === undefined) map.delete(textOf(key));
      else map.set(textOf(key), changed);
    }
  }

  keys(): Uint8Array[] {
    return [...this.#live.keys()].sort().map((key) => Uint8Array.from(Buffer.from(key, "latin1")));
  }

  #openHandle(): OrderedStore {
    const handle = ++this.#handle;
    const check = (): void => {
      if (handle !== this.#handle) throw new Error("the store is closed");
    };
    const apply = (map: Map<string, Uint8Array>, ops: readonly StoreOp[]): void => {
      for (const op of ops) {
        if (op.kind === "put") map.set(textOf(op.key), op.value);
        else map.delete(textOf(op.key));
      }
    };
    const inside = (range: KeyRange): StoreEntry[] =>
      [...this.#live]
        .map(([key, value]) => ({ key: Uint8Array.from(Buffer.from(key, "latin1")), value }))
        .filter(({ key }) => compareBytes(key, range.from) >= 0 && compareBytes(key, range.to) < 0)
        .sort((a, b) => compareBytes(a.key, b.key));
    return {
      batch: async (given, { isSynced }) => {
        check();
        const ops = Array.from(given, copyOf);
        this.batchCount++;
        const verdict = await this.onBatch?.(ops);
        check();
        apply(this.#live, ops);
        if (isSynced) {
          // LevelDB has one log: syncing a batch syncs all before it.
          for (const earlier of this.#unsynced) apply(this.#synced, earlier);
          this.#unsynced = [];
          apply(this.#synced, ops);
        } else {
          this.#unsynced.push(ops);
        }
        if (verdict === "after") throw new Error("the disk failed after the batch was kept");
      },
      get: async (key) => {
        check();
        return this.#live.get(textOf(key));
      },
      getMany: async (keys) => {
        check();
        return keys.map((key) => this.#live.get(textOf(key)));
      },
      pages: (range, { pageBytes }) => {
        check();
        return eachInTurn(pagesOf(inside(range), pageBytes));
      },
      compact: async () => check(),
      close: async () => {
        if (handle === this.#handle) this.#handle++;
      },
    };
  }
}

/** Entries in pages of at least `pageBytes` each, but for the last. */
export function* pagesOf(entries: readonly StoreEntry[], pageBytes: number): Generator<readonly StoreEntry[], void> {
  let page: StoreEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    page.push(entry);
    bytes += entry.key.length + entry.value.length;
    if (bytes < pageBytes) continue;
    yield page;
    page = [];
    bytes = 0;
  }
  if (page.length > 0) yield page;
}

/** With bytes of its own: a caller may use its buffers again. */
export function copyOf(op: StoreOp): StoreOp {
  const key = Uint8Array.from(op.key);
  return op.kind === "put" ? { kind: "put", key, value: Uint8Array.from(op.value) } : { kind: "delete", key };
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key).toString("latin1");
}

async function* eachInTurn<T>(items: Iterable<T>): AsyncGenerator<T, void> {
  yield* items;
}
