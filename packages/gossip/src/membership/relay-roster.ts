/** Who takes part in the relay of heartbeats: this node, and the full members that it knows. */
import type { Entry } from "../items/entry.ts";
import type { MemberTable } from "../table/member-table.ts";
import { relayId } from "./heartbeats.ts";
import type { RelayMember } from "./relay.ts";

/** In the order of their ids. Of two that share one, neither. `vouchesFor`: the member's entry is on disk here. */
export function rosterOf(table: MemberTable, { suspects, isOnDisk }: { readonly suspects: ReadonlySet<string>; readonly isOnDisk: (entry: Entry) => boolean }): RelayMember[] {
  const { own } = table;
  const ownId = relayId(own.storeId);
  const self: RelayMember = { id: ownId, name: own.name, storeId: own.storeId, vouchedIncarnation: -1, isInGrid: true };
  const members = new Map<number, RelayMember | undefined>([[ownId, self]]);
  for (const entry of table.entries) {
    const { name, status, storeId, incarnation } = entry;
    if ((status !== "alive" && status !== "leaving") || name === own.name || !table.isMemberFull(name)) continue;
    const id = relayId(storeId);
    const isVouchedFor = table.isFull && isOnDisk(entry) && !table.fences(entry);
    members.set(id, members.has(id) ? undefined : { id, name, storeId, vouchedIncarnation: isVouchedFor ? incarnation : -1, isInGrid: !suspects.has(name) });
  }
  members.set(ownId, self);
  return [...members.values()].filter((member) => member !== undefined).sort((a, b) => a.id - b.id);
}
