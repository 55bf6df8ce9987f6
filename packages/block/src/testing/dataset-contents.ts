/** What a dataset says, in full and in an order of its own: two views that hold the same rows give the same contents. */
import type { DatasetView, RowQuery } from "@pyromesh/profile";
import { emptyRowSamples, IdentitySet, mergeNodes, NameTreeBuilder, nameTreeOf, parseProfileType, sumAt } from "@pyromesh/profile";

export interface RowContents {
  readonly timeNs: string;
  readonly columns: readonly { readonly total: string; readonly samples: readonly string[] }[];
  readonly [field: string]: unknown;
}

/** Every row by its identity, with every column's samples by stack. */
export function contents(view: DatasetView): Map<string, RowContents> {
  const decoder = new TextDecoder();
  const nameOf = (node: number): string => {
    const path: string[] = [];
    for (let at = node; at !== 0; at = view.tree.nodeParent[at]!) {
      const location = view.tree.nodeLocation[at]!;
      for (let line = view.symbols.lineStart[location]!; line < view.symbols.lineStart[location + 1]!; line++) {
        const id = view.symbols.functionName[view.symbols.lineFunction[line]!]!;
        path.unshift(decoder.decode(view.symbols.stringBytes.slice(view.symbols.stringOffset[id]!, view.symbols.stringOffset[id + 1]!)));
      }
    }
    return path.join(";");
  };
  const hex = (table: Uint8Array, index: number, width: number): string => Buffer.from(table.slice(index * width, index * width + width)).toString("hex");
  const rows = new Map<string, RowContents>();
  const read = emptyRowSamples();
  for (let row = 0; row < view.rowCount; row++) {
    const series = view.series[view.rowSeries[row]!]!;
    const columns = series.sampleTypes.map((_, column) => {
      view.read(row, column, read);
      const samples = Array.from({ length: read.sampleCount }, (__, i) =>
        [nameOf(read.node[i]!), String(read.wide?.[i] ?? read.value[i]), hex(view.spans, read.span?.[i] ?? 0, 8), hex(view.traces, read.trace?.[i] ?? 0, 16)].join(" "),
      );
      return { total: String(view.total(row, column)), samples: samples.sort() };
    });
    const profileId = view.profileId(row);
    rows.set(hex(view.identities, row, 16), {
      labels: series.labels,
      types: series.sampleTypes,
      period: series.periodType,
      timeNs: String(view.rowTimeNs[row]),
      durationNs: String(view.durationNs(row)),
      periodValue: String(view.period(row)),
      profileId: profileId === undefined ? undefined : Buffer.from(profileId).toString("hex"),
      columns,
    });
  }
  return rows;
}

const CPU = parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds");

/** The flame graph of a view as ";root;..;leaf" -> self. */
export function flames(view: DatasetView, over: Partial<RowQuery> = {}): Record<string, string> {
  const query: RowQuery = { startNs: 0n, endNs: 1n << 62n, profileType: CPU, selector: [], callSite: [], profileIds: [], spanIds: [], traceIds: [], ...over };
  const builder = new NameTreeBuilder();
  builder.add(nameTreeOf(view, mergeNodes(view, query, new IdentitySet()).self));
  const tree = builder.result();
  const paths: string[] = [""];
  const found: Record<string, string> = {};
  for (let node = 1; node < tree.nodeCount; node++) {
    paths[node] = `${paths[tree.nodeParent[node]!]!};${tree.names[tree.nodeName[node]!]!}`;
    const self = sumAt(tree.self, node);
    if (self !== 0) found[paths[node]!] = String(self);
  }
  return found;
}
