/** `health`: what a node says of itself, for `/api/v1/cluster/health` and `pyromesh cluster status` at any other. */
import { openMessage, packMessage } from "./message.ts";

export interface NodeHealth {
  readonly storeId: string;
  /** It takes pushes. */
  readonly isWritable: boolean;
  readonly isInContact: boolean;
  /** `--replication` of it (undefined: an earlier build, which does not say it), and whether it holds records under fewer acks than the replication in the bucket says. */
  readonly replicationSetting: number | undefined;
  readonly isReplicationRising: boolean;
  /** Records that it is to flush, and such that it keeps for other stores; neither are in the bucket. */
  readonly ownRecords: number;
  readonly keptRecords: number;
  /** Of these, records that fewer live stores keep than acknowledged them. */
  readonly thinRecords: number;
  /** Sealed segments that wait for the bucket. */
  readonly backlogSegments: number;
  readonly backlogBytes: number;
  /** Why they wait; "": they do not, or not for a failure. */
  readonly backlogReason: string;
  /** Records that it flushed in the place of another store, since its start. */
  readonly takeovers: number;
  /** Requests that it refused, newest first, in words. */
  readonly lastRefusals: readonly string[];
  /** Uncleared losses that it knows of, by store id. */
  readonly lostStores: readonly string[];
  /** Its wall clock. Undefined: an earlier build, which does not say it. */
  readonly wallMs: number | undefined;
}

export function packHealth(health: NodeHealth): Uint8Array {
  const { wallMs, ...rest } = health;
  return packMessage({ ...rest, ...(wallMs !== undefined && { wallMs }) });
}

/** Throws PEER_MALFORMED. */
export function openHealth(bytes: Uint8Array): NodeHealth {
  const fields = openMessage(bytes, "a health answer");
  return {
    storeId: fields.hex("storeId", 16),
    isWritable: fields.flag("isWritable"),
    isInContact: fields.flag("isInContact"),
    replicationSetting: fields.has("replicationSetting") ? fields.integer("replicationSetting") : undefined,
    isReplicationRising: fields.has("isReplicationRising") && fields.flag("isReplicationRising"),
    ownRecords: fields.integer("ownRecords"),
    keptRecords: fields.integer("keptRecords"),
    thinRecords: fields.integer("thinRecords"),
    backlogSegments: fields.integer("backlogSegments"),
    backlogBytes: fields.integer("backlogBytes"),
    backlogReason: fields.text("backlogReason", REASON_LENGTH_MAX),
    takeovers: fields.integer("takeovers"),
    lastRefusals: fields.texts("lastRefusals", REFUSALS_MAX, REASON_LENGTH_MAX),
    lostStores: fields.texts("lostStores", LOST_COUNT_MAX, 32),
    wallMs: fields.has("wallMs") ? fields.number("wallMs", { min: 0, max: Number.MAX_SAFE_INTEGER }) : undefined,
  };
}

export const REASON_LENGTH_MAX = 1000;
export const LOST_COUNT_MAX = 1000;
const REFUSALS_MAX = 20;
