/** What a node answers about its cluster, checked: `/members?format=json` and `/api/v1/cluster/health` (COMPAT.md). Fields that a newer node adds are left out. */
import { CodedError } from "@pyromesh/base";
import { z } from "zod";

export interface StatusReply {
  /** Null: a node alone. */
  readonly cluster: string | null;
  readonly self: string;
  readonly replication: number;
  readonly acks: number;
  readonly isInContact: boolean;
  readonly writesRefusedBecause: string | null;
  readonly queriesRefusedBecause: string | null;
  /** Undefined: a node of an earlier build answered. */
  readonly formats?: readonly { readonly format: string; readonly version: number; readonly newest: number; readonly heldBackBy: readonly string[] }[] | undefined;
  readonly members: readonly MemberReply[];
  readonly gone: readonly MemberReply[];
  readonly lostStores: readonly { readonly member: string; readonly storeId: string; readonly isCleared: boolean }[];
}

export interface MemberReply {
  readonly name: string;
  readonly state: string;
  readonly isSelf: boolean;
  readonly isSuspect: boolean;
  readonly zone: string;
  readonly clusterAddress: string;
  readonly httpAddress: string;
  readonly share: number;
  readonly build: string;
}

export interface HealthReply {
  readonly mayStop: boolean;
  readonly reasons: readonly string[];
  /** Undefined: a node of an earlier build answered. */
  readonly notes?: readonly string[] | undefined;
  readonly members: readonly HeldReply[];
}

export interface HeldReply {
  readonly name: string;
  readonly ownRecords?: number | undefined;
  readonly keptRecords?: number | undefined;
  readonly backlogBytes?: number | undefined;
  readonly takeovers?: number | undefined;
}

const MEMBER: z.ZodType<MemberReply> = z.object({
  name: z.string(),
  state: z.string(),
  isSelf: z.boolean(),
  isSuspect: z.boolean(),
  zone: z.string(),
  clusterAddress: z.string(),
  httpAddress: z.string(),
  share: z.number(),
  build: z.string(),
});

const STATUS: z.ZodType<StatusReply> = z.object({
  cluster: z.string().nullable(),
  self: z.string(),
  replication: z.number(),
  acks: z.number(),
  isInContact: z.boolean(),
  writesRefusedBecause: z.string().nullable(),
  queriesRefusedBecause: z.string().nullable(),
  formats: z.array(z.object({ format: z.string(), version: z.number(), newest: z.number(), heldBackBy: z.array(z.string()) })).optional(),
  members: z.array(MEMBER),
  gone: z.array(MEMBER),
  lostStores: z.array(z.object({ member: z.string(), storeId: z.string(), isCleared: z.boolean() })),
});

const HEALTH: z.ZodType<HealthReply> = z.object({
  mayStop: z.boolean(),
  reasons: z.array(z.string()),
  notes: z.array(z.string()).optional(),
  members: z.array(
    z.object({
      name: z.string(),
      ownRecords: z.number().optional(),
      keptRecords: z.number().optional(),
      backlogBytes: z.number().optional(),
      takeovers: z.number().optional(),
    }),
  ),
});

/** Throws REPLY_INVALID. */
export function readStatusReply(reply: unknown): StatusReply {
  return read(STATUS, reply);
}

/** Throws REPLY_INVALID. */
export function readHealthReply(reply: unknown): HealthReply {
  return read(HEALTH, reply);
}

function read<T>(schema: z.ZodType<T>, reply: unknown): T {
  const result = schema.safeParse(reply);
  if (result.success) return result.data;
  throw new CodedError({ code: "REPLY_INVALID", kind: "internal", message: `the answer is not one of a Pyromesh of this version (${result.error.issues[0]?.path.join(".") ?? "it"} is wrong): is this a Pyromesh?` });
}
