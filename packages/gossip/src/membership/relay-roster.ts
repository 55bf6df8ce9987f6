/** Who takes part in the relay of heartbeats: this node, and the full members that it knows. */
import type { MemberTable } from "../table/member-table.ts";
import { relayId } from "./heartbeats.ts";
import type { RelayMember } from "./relay.ts";

/** In the order of their ids. Of two that share one, neither. `suspects`: members that have no place in the grid. */
export function rosterOf(table: MemberTable, suspects: ReadonlySet<string>): RelayMember[] {
  const { own } = table;
  const ownId = relayId(own.storeId);
  const self: RelayMember = { id: ownId, name: own.name, storeId: own.storeId, vouchedIncarnation: -1, isInGrid: true };
  const members = new Map<number, RelayMember | undefined>([[ownId, self]]);
  for (const entry of table.entries) {
    const { name, status, storeId, incarnation } = entry;
    if ((status !== "alive" && status !== "leaving") || name === own.name || !table.isMemberFull(name)) continue;
    const id = relayId(storeId);
    members.set(id, members.has(id) ? undefined : { id, name, storeId, vouchedIncarnation: table.vouchesFor(entry) ? incarnation : -1, isInGrid: !suspects.has(name) });
  }
  members.set(ownId, self);
  return [...members.values()].filter((member) => member !== undefined).sort((a, b) => a.id - b.id);
}
