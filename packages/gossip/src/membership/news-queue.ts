/**
 * What is new and has to be told: keys of entries, losses and suspicions, each until it has been told often enough. The content is read when it is
 * sent, so a key that changes twice is told once, as it is then.
 *
 * The queue makes news fast and nothing more: what it drops, the comparison of tables (table-digest.ts) brings.
 */
import type { Random } from "@pyromesh/base";

export interface NewsSettings {
  /** Members that are told at once, drawn anew each time. Up to `fullMeshMax` members everyone is told. */
  readonly fanout: number;
  /** Each piece of news is sent this many times, times the digits of the member count. */
  readonly retransmitFactor: number;
  /** In a small cluster each piece goes to everyone so many times. */
  readonly fullMeshRounds: number;
  readonly fullMeshMax: number;
}

/** Retransmits as memberlist; a fan-out of 4 each 100 ms in place of 3 each 200 ms, for the goal of 1 s at 100 members. */
export const NEWS_SETTINGS: NewsSettings = { fanout: 4, retransmitFactor: 4, fullMeshRounds: 3, fullMeshMax: 16 };

/** Keys at most: more than there are members and losses in the largest cluster. At the bound the one that was told most often goes. */
const NEWS_MAX = 20_000;

export class NewsQueue {
  readonly #settings: NewsSettings;
  readonly #random: Random;
  /** How often each key was sent; in the order in which they came. */
  readonly #sentCount = new Map<string, number>();

  constructor(settings: NewsSettings, random: Random) {
    this.#settings = settings;
    this.#random = random;
  }

  get size(): number {
    return this.#sentCount.size;
  }

  /** It is new, or changed: it is told as often as anything new. */
  add(key: string): void {
    this.#sentCount.delete(key);
    if (this.#sentCount.size >= NEWS_MAX) this.#dropMostTold();
    this.#sentCount.set(key, 0);
  }

  delete(key: string): void {
    this.#sentCount.delete(key);
  }

  /** Who is told now: everyone in a small cluster, else some at random. `members`: all that could be told; its order may change. */
  draw(members: string[]): readonly string[] {
    if (members.length < this.#settings.fullMeshMax) return members;
    const count = Math.min(this.#settings.fanout, members.length);
    for (let i = 0; i < count; i++) {
      const at = i + Math.floor(this.#random.float() * (members.length - i));
      [members[i], members[at]] = [members[at]!, members[i]!];
    }
    return members.slice(0, count);
  }

  /** Up to `countMax` keys, those told least often first. They count as told once more to each of `receiverCount` members, of `memberCount` besides this node. */
  take(countMax: number, receiverCount: number, memberCount: number): string[] {
    if (receiverCount === 0) return [];
    const isFullMesh = memberCount < this.#settings.fullMeshMax;
    const limit = isFullMesh ? this.#settings.fullMeshRounds : this.#settings.retransmitFactor * Math.ceil(Math.log10(memberCount + 2));
    let keys = [...this.#sentCount.keys()];
    if (keys.length > countMax) keys = keys.sort((a, b) => this.#sentCount.get(a)! - this.#sentCount.get(b)!).slice(0, countMax); // stable: the older first
    for (const key of keys) {
      const sentCount = this.#sentCount.get(key)! + (isFullMesh ? 1 : receiverCount);
      if (sentCount >= limit) this.#sentCount.delete(key);
      else this.#sentCount.set(key, sentCount);
    }
    return keys;
  }

  #dropMostTold(): void {
    let mostTold = "";
    let most = -1;
    for (const [key, count] of this.#sentCount) {
      if (count <= most) continue;
      mostTold = key;
      most = count;
    }
    this.#sentCount.delete(mostTold);
  }
}
