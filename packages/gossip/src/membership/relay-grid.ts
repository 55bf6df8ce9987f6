/**
 * Whom a member exchanges heartbeats with in a large cluster. The members, in the order of their ids, fill a grid of about sqrt(N) rows:
 *
 *              column 0   1   2   3
 *     row 0           a   b   c   d       A heartbeat of f: f -> its row (e, g, h) -> each tells its column.
 *     row 1           e   f   g   h       g's word about a heartbeat of a: g -> e, who is in g's row and a's column -> a.
 *     row 2           i   j   k           Each goes over two hops; everyone speaks to 2 sqrt(N) others.
 *
 * Rows differ in length by one at most. In a short row its first member stands in for the missing place, so it is of two columns.
 *
 * Two members may see different grids while their views differ. Then some words do not arrive and contact falls back to probes; none is wrong, since each
 * names whose word it is and about whom.
 */
export class RelayGrid {
  readonly size: number;
  readonly rowMates: readonly number[];
  readonly columnMates: readonly number[];
  /** By row mate: the members of the columns that it relays to, itself among them. */
  readonly relayedBy: ReadonlyMap<number, readonly number[]>;

  /** `ids`: sorted, distinct, `self` among them. */
  constructor(ids: readonly number[], self: number) {
    this.size = ids.length;
    const rowCount = Math.max(1, Math.round(Math.sqrt(ids.length)));
    const long = ids.length % rowCount; // so many rows have one more
    const short = Math.floor(ids.length / rowCount);
    const rowAt = (row: number): number => row * short + Math.min(row, long);
    const rowLength = (row: number): number => (row < long ? short + 1 : short);
    const columnCount = long > 0 ? short + 1 : short;

    const at = ids.indexOf(self);
    let ownRow = 0;
    while (ownRow + 1 < rowCount && rowAt(ownRow + 1) <= at) ownRow++;
    const column = (index: number): number[] => {
      const members: number[] = [];
      for (let row = 0; row < rowCount; row++) if (index < rowLength(row)) members.push(ids[rowAt(row) + index]!);
      return members;
    };
    const relayedBy = new Map<number, readonly number[]>();
    const ownLength = rowLength(ownRow);
    const columnMates = new Set<number>();
    for (let index = 0; index < ownLength; index++) {
      const members = column(index);
      if (index === 0 && ownLength < columnCount) members.push(...column(columnCount - 1));
      const id = ids[rowAt(ownRow) + index]!;
      if (id !== self) relayedBy.set(id, members);
      else for (const member of members) columnMates.add(member);
    }
    columnMates.delete(self);
    this.relayedBy = relayedBy;
    this.rowMates = [...relayedBy.keys()];
    this.columnMates = [...columnMates];
  }
}
