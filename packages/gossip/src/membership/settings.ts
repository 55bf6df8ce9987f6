/** How often membership does what. The values are in no configuration: they fit each other, and the lease (design 5.8). */
import { DETECTOR_SETTINGS, type DetectorSettings } from "./detector.ts";
import { NEWS_SETTINGS, type NewsSettings } from "./news-queue.ts";

export interface MembershipSettings {
  readonly detector: DetectorSettings;
  readonly news: NewsSettings;
  /** Ticks of `step` come this often while it waits for somebody, and news are told this often; else when something is due. */
  readonly tickMs: number;
  /** Heartbeats in a large cluster: each takes up to four of these periods to come back as a word, within the lease of 5 s. */
  readonly relayIntervalMs: number;
  /** A comparison of tables with a member drawn at random. */
  readonly compareIntervalMs: number;
  /** An attempt to reach a seed, or a member that is dead or has left, so that a split heals. */
  readonly rejoinIntervalMs: number;
  /** In a small cluster, tables are exchanged with the same member at most once in this time; in a large one a node begins one exchange in twice this time. */
  readonly exchangeIntervalMs: number;
}

export const MEMBERSHIP_SETTINGS: MembershipSettings = {
  detector: DETECTOR_SETTINGS,
  news: NEWS_SETTINGS,
  tickMs: 100,
  relayIntervalMs: 1250,
  compareIntervalMs: 15_000,
  rejoinIntervalMs: 30_000,
  exchangeIntervalMs: 500,
};
