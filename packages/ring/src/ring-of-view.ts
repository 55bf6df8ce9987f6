/** The ring of the newest view, kept while its owners are the same: most changes of a view (a suspicion, an incarnation, an address) leave it alone. */
import type { ClusterView } from "./cluster-view.ts";
import type { RingMember } from "./ring-member.ts";
import { ownersOf } from "./ring-member.ts";
import { Ring } from "./ring.ts";

export class RingOfView {
  #ring = Ring.of([]);
  #view: ClusterView | undefined;
  #avoided: ReadonlySet<string> | undefined;

  /** Costs nothing for the view and the `avoided` of the call before (compared as objects), and a comparison of the owners else. */
  of(view: ClusterView, avoided?: ReadonlySet<string>): Ring {
    if (view === this.#view && avoided === this.#avoided) return this.#ring;
    const owners = ownersOf(view, avoided);
    if (!areEqual(owners, this.#ring.members)) this.#ring = Ring.of(owners, this.#ring);
    this.#view = view;
    this.#avoided = avoided;
    return this.#ring;
  }
}

/** Both by name. */
function areEqual(owners: readonly RingMember[], members: readonly RingMember[]): boolean {
  return (
    owners.length === members.length &&
    owners.every(({ name, storeId, zone, tokenCount }, index) => {
      const other = members[index]!;
      return name === other.name && storeId === other.storeId && zone === other.zone && tokenCount === other.tokenCount;
    })
  );
}
