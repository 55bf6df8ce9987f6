/** What the state machine of membership is told (events) and what it wants done (effects). */
import type { StoreId } from "@pyromesh/ring";
import type { Changes, Refusal } from "../table/table-changes.ts";
import type { MembershipMessage } from "./messages.ts";

export type MembershipEvent =
  | { readonly kind: "tick" }
  /** `from` and `storeId`: as the link's handshake proved. */
  | { readonly kind: "message"; readonly from: string; readonly storeId: StoreId; readonly message: MembershipMessage }
  | { readonly kind: "gossip"; readonly message: MembershipMessage }
  | { readonly kind: "link-up"; readonly member: string }
  /** The last link to it is closed. `isOwnDoing`: this node closed it. */
  | { readonly kind: "link-down"; readonly member: string; readonly isOwnDoing: boolean }
  /** The state that was current at the `persist` effect of this version is on disk. */
  | { readonly kind: "persisted"; readonly version: number }
  /** Ask the member for all that this node lacks; `learned` with this number follows. Numbers rise. */
  | { readonly kind: "learn"; readonly member: string; readonly number: number }
  /** Hand on that this node has left, to some members. */
  | { readonly kind: "tell-left" }
  /** Something changed the table from outside: a command, or what this node's store holds. */
  | { readonly kind: "changed"; readonly changes: Changes };

export type MembershipEffect =
  | { readonly kind: "send"; readonly to: string; readonly message: MembershipMessage }
  | { readonly kind: "gossip"; readonly message: MembershipMessage }
  /** Write `table.state`, sync it, then tell `persisted` with the version that the table had when its state was taken. */
  | { readonly kind: "persist" }
  | { readonly kind: "view-changed" }
  /** It does not answer: a connection may be half open for minutes. */
  | { readonly kind: "close-link"; readonly member: string }
  | { readonly kind: "dial-seed" }
  /** The member's table, as it was after this node asked for it, is merged. */
  | { readonly kind: "learned"; readonly number: number }
  | { readonly kind: "answered"; readonly roundTripMs: number }
  | { readonly kind: "suspected" | "cleared" | "declared-dead" | "refuted"; readonly member: string }
  | { readonly kind: "refused"; readonly from: string; readonly refusal: Refusal };
