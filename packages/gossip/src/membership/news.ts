/**
 * News: what this node learned, told to some members at a time and to the gossip topic. An item is read when it is told, so one that changed twice is told
 * once, as it is then.
 *
 * What must stay true: entries and losses are told only once they are on disk here.
 */
import type { Random } from "@pyromesh/base";
import type { Entry } from "../items/entry.ts";
import type { Loss } from "../items/losses.ts";
import { newsOfEntry, newsOfLoss } from "../items/table-message.ts";
import type { MemberTable } from "../table/member-table.ts";
import type { Detector } from "./detector.ts";
import type { Accusation, MembershipMessage } from "./messages.ts";
import { NewsQueue } from "./news-queue.ts";
import type { MembershipSettings } from "./settings.ts";

/** Where a change came from: this node itself, another member's message, or the gossip topic. */
export type NewsSource = "self" | "member" | "gossip";

export interface NewsModules {
  readonly table: MemberTable;
  readonly detector: Pick<Detector, "names" | "targetCount" | "accusersOf">;
  readonly random: Random;
  readonly send: (to: string, message: MembershipMessage) => void;
  readonly publish: (message: MembershipMessage) => void;
}

/** In one message of news: some 30 kB. The rest follows with the next. */
const NEWS_ITEMS_MAX = 128;

export class News {
  readonly #settings: Pick<MembershipSettings, "news" | "tickMs">;
  readonly #modules: NewsModules;
  readonly #queue: NewsQueue;
  /** Keys for the gossip topic, as in `#queue`: no more than changed since the table was last on disk. */
  readonly #toPublish = new Set<string>();
  #nextMs = 0;

  constructor(settings: Pick<MembershipSettings, "news" | "tickMs">, modules: NewsModules) {
    this.#settings = settings;
    this.#modules = modules;
    this.#queue = new NewsQueue(settings.news, modules.random);
    this.#queue.add(entryKey(modules.table.own.name));
  }

  get size(): number {
    return this.#queue.size;
  }

  addEntry(name: string, source: NewsSource): void {
    this.#add(entryKey(name), source);
  }

  addLoss(storeId: string, source: NewsSource): void {
    this.#add(lossKey(storeId), source);
  }

  addSuspicion(name: string, source: NewsSource): void {
    this.#add(suspicionKey(name), source);
  }

  dropSuspicion(name: string): void {
    this.#queue.delete(suspicionKey(name));
  }

  /** What the gossip topic brought reaches all by itself. What this node learned first goes both ways. */
  #add(key: string, source: NewsSource): void {
    if (source !== "gossip") this.#queue.add(key);
    if (source === "self") this.#toPublish.add(key);
  }

  /** When `tell` has something to tell; Infinity: nothing, or nothing before the table is on disk or somebody is there. */
  get dueMs(): number {
    const { table, detector } = this.#modules;
    return this.#queue.size === 0 || !table.isPersisted || detector.targetCount === 0 ? Infinity : this.#nextMs;
  }

  /** Tells some of it, once in `tickMs` at most. */
  tell(nowMs: number): void {
    const { table, detector, send } = this.#modules;
    if (this.#toPublish.size > 0 && table.isPersisted) this.#publish();
    if (this.#queue.size === 0 || nowMs < this.#nextMs || !table.isPersisted) return;
    const names = detector.names();
    if (names.length === 0) return;
    this.#nextMs = nowMs + this.#settings.tickMs;
    const memberCount = names.length;
    const receivers = this.#queue.draw(names);
    const message = this.#messageOf(this.#queue.take(NEWS_ITEMS_MAX, receivers.length, memberCount));
    if (message !== undefined) for (const receiver of receivers) send(receiver, message);
  }

  #publish(): void {
    const keys = [...this.#toPublish];
    this.#toPublish.clear();
    for (let at = 0; at < keys.length; at += NEWS_ITEMS_MAX) {
      const message = this.#messageOf(keys.slice(at, at + NEWS_ITEMS_MAX));
      if (message !== undefined) this.#modules.publish(message);
    }
  }

  /** Undefined: of none of it anything is left to be told. */
  #messageOf(keys: readonly string[]): MembershipMessage | undefined {
    const entries: Entry[] = [];
    const losses: Loss[] = [];
    const accusations: Accusation[] = [];
    for (const key of keys) this.#read(key, entries, losses, accusations);
    return entries.length + losses.length + accusations.length === 0 ? undefined : { kind: "news", entries, losses, accusations };
  }

  #read(key: string, entries: Entry[], losses: Loss[], accusations: Accusation[]): void {
    const { table, detector } = this.#modules;
    const subject = key.slice(1);
    switch (key[0]) {
      case "e": {
        const entry = table.entry(subject);
        const news = entry === undefined ? undefined : newsOfEntry(entry);
        if (news !== undefined) entries.push(news);
        return;
      }
      case "l": {
        const loss = table.loss(subject);
        if (loss !== undefined) losses.push(newsOfLoss(loss));
        return;
      }
      default:
        for (const accuser of detector.accusersOf(subject)) accusations.push({ subject, incarnation: table.entry(subject)?.incarnation ?? 0, accuser });
    }
  }
}

const entryKey = (name: string): string => `e${name}`;
const lossKey = (storeId: string): string => `l${storeId}`;
const suspicionKey = (name: string): string => `s${name}`;
