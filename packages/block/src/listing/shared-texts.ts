/** One copy of each text that the keys of many objects hold: a catalog may have a million of them. */
import type { ObjectKey } from "./object-path.ts";

/** At the bound all are dropped: then a text may be held twice. */
const COUNT_MAX = 10_000;

export class SharedTexts {
  readonly #texts = new Map<string, string>();

  /** The same meta, with texts that others hold as well. */
  lean<M extends ObjectKey>(meta: M): M {
    if (meta.kind === "block") return { ...meta, tenant: this.#shared(meta.tenant) };
    return { ...meta, tenant: this.#shared(meta.tenant), storeId: this.#shared(meta.storeId) };
  }

  #shared<T extends string>(text: T): T {
    const known = this.#texts.get(text);
    if (known !== undefined) return known as T; // equal
    if (this.#texts.size >= COUNT_MAX) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }
}
