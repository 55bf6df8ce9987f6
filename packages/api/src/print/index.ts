/** What prints replies: an entry of its own for worker threads, which would otherwise load all of HTTP. */
export { printAdHocDiff, printAdHocGraph } from "./adhoc-reply.ts";
export { printDiff, printDot, printFlameGraph, printPprof, printTree } from "./graph-reply.ts";
export { printListing } from "./listing-reply.ts";
export { printRender, printRenderDiff } from "./render-reply.ts";
export { printHeatmap, printSeries } from "./series-reply.ts";
export { printTopTable } from "./top-table-reply.ts";
