/**
 * The page: it reads its state from the URL, queries the node, and passes the answers to the views. "Now" is read once per refresh, so
 * that all answers on the page have the same span.
 */
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { QuerierClient } from "../client.ts";
import { loadCatalog } from "../load-catalog.ts";
import type { FlameGraphLayout } from "../model/flame-graph-layout.ts";
import { boxOfPath, layOutFlameGraph, pathOf } from "../model/flame-graph-layout.ts";
import { composeSelector } from "../model/label-selector.ts";
import { preferredType, sampleUnitOf } from "../model/service-catalog.ts";
import type { TimeRange } from "../model/time-range.ts";
import { alignSpan, resolveRange, stepMsOf } from "../model/time-range.ts";
import { isCutWithin } from "../model/top-table.ts";
import { EmptyStore } from "./empty-store.tsx";
import { ErrorNote, MissingNote, NothingInRange, ReceiptLine } from "./notes.tsx";
import { PointStrip } from "./point-strip.tsx";
import { ProfilePanel } from "./profile-panel.tsx";
import { Toolbar } from "./toolbar.tsx";
import { useAnswer } from "./use-answer.ts";
import { useIsDark } from "./use-is-dark.ts";
import { useQueryState } from "./use-query-state.ts";

const AUTO_REFRESH_MS = 10_000;

/** The rows that the node is asked for: some 300 kB of JSON. Few programs run more functions, and the table says where there are more. */
const TOP_FUNCTIONS_MAX = 5000;

export function App(): JSX.Element {
  const [state, change] = useQueryState();
  const [nowMs, setNowMs] = useState(() => Date.now());
  const isDark = useIsDark();
  const { tenant, service, profileType, allowsPartial } = state;
  const baseUrl = new URL(".", document.baseURI).href;
  const client = useMemo(() => new QuerierClient({ baseUrl, tenant, allowsPartial }, { fetch: (input, init) => fetch(input, init) }), [baseUrl, tenant, allowsPartial]);
  const span = useMemo(() => resolveRange(state.range, nowMs), [state.range, nowMs]);
  const asked = `${tenant}\n${allowsPartial}\n${span.startMs}\n${span.endMs}`;
  const refresh = (): void => setNowMs((before) => Math.max(Date.now(), before + 1)); // another time, so that it is a new query

  const catalog = useAnswer(`${asked}\n${nowMs}`, (signal) => loadCatalog(client, span, service !== "", signal));
  const hasServices = (catalog.value?.catalog.services.size ?? 0) > 0;
  useEffect(() => {
    if (catalog.isLoading || catalog.value?.suggested === undefined || (service !== "" && profileType !== "")) return;
    const chosen = service === "" ? catalog.value.suggested : { service, profileType: preferredType(catalog.value.catalog.services.get(service) ?? []) ?? catalog.value.suggested.profileType };
    change(chosen, "replace");
  }, [catalog.isLoading, catalog.value, service, profileType]);

  const selection = { profileType, selector: composeSelector(service, state.selector), span };
  const selectionKey = service === "" || profileType === "" ? undefined : `${asked}\n${nowMs}\n${profileType}\n${selection.selector}\n${state.maxNodes}`;
  const flame = useAnswer(selectionKey, async (signal) => {
    const { value, missing, receipt } = await client.flameGraph(selection, state.maxNodes, signal);
    return { layout: layOutFlameGraph(value), missing, receipt };
  });
  const layout = flame.value?.layout;
  // A complete graph has the table's data in its boxes. For one that was cut off only the node can compute it.
  const focus = useMemo(() => (layout === undefined ? 0 : boxOfPath(layout, state.zoom)), [layout, state.zoom]);
  const isCut = useMemo(() => layout !== undefined && isCutWithin(layout, focus), [layout, focus]);
  const callSite = layout === undefined ? [] : pathOf(layout, focus);
  // The order matters only where there are more functions than the page asks for.
  const [hasMore, setHasMore] = useState(false);
  const order = hasMore && state.sort.column === "total" ? "total" : "self";
  const topKey = selectionKey !== undefined && isCut ? `${selectionKey}\n${order}\n${callSite.join("\n")}` : undefined;
  const top = useAnswer(topKey, async (signal) => {
    const answer = await client.topFunctions(selection, callSite, order, TOP_FUNCTIONS_MAX, signal);
    setHasMore(answer.value.functionCount > answer.value.rows.length);
    return answer;
  });
  const stepMs = stepMsOf(span);
  const strip = useAnswer(selectionKey, async (signal) => {
    const stripSpan = alignSpan(span, stepMs);
    const { value: series, missing } = await client.points({ ...selection, span: stripSpan }, stepMs, [], signal);
    return { points: series[0]?.points ?? [], span: stripSpan, stepMs, missing };
  });

  const isLoading = catalog.isLoading || flame.isLoading || strip.isLoading;
  useEffect(() => {
    if (!state.isAutoRefresh || state.range.kind === "between") return undefined;
    const timer = window.setInterval(() => {
      if (!document.hidden && !isLoading) refresh();
    }, AUTO_REFRESH_MS);
    return () => window.clearInterval(timer);
  }, [state.isAutoRefresh, state.range.kind, isLoading]);
  useEffect(() => {
    document.title = service === "" ? "Pyromesh" : `${service}, ${profileType.split(":")[1] ?? ""} · Pyromesh`;
  }, [service, profileType]);

  const error = catalog.error ?? flame.error ?? strip.error;
  const missing = error === undefined ? missingOf([catalog.value?.missing, flame.value?.missing, strip.value?.missing, top.value?.missing]) : [];
  const truncated = error === undefined ? (catalog.value?.truncated ?? "") : "";
  const needsTenant = error !== undefined && "code" in error && error.code === "unauthenticated";
  const onRange = (range: TimeRange): void => change({ range });
  const body = (): JSX.Element => {
    if (error !== undefined) return <ErrorNote error={error} onRetry={refresh} onPartial={() => change({ allowsPartial: true })} />;
    if (catalog.value?.stats !== undefined && !hasServices) {
      if (catalog.value.stats.hasData) return <NothingInRange stats={catalog.value.stats} onRange={onRange} onLook={refresh} />;
      return <EmptyStore serverUrl={baseUrl.replace(/\/$/, "")} tenant={tenant} onLook={refresh} />;
    }
    if (flame.value === undefined) return <p class="notice waiting">Asking the node…</p>;
    return (
      <>
        {strip.value === undefined ? null : (
          <PointStrip
            points={strip.value.points}
            span={strip.value.span}
            stepMs={strip.value.stepMs}
            sampleUnit={sampleUnitOf(profileType)}
            isDark={isDark}
            onPick={(picked) => onRange({ kind: "between", ...picked })}
          />
        )}
        {isEmpty(flame.value.layout) ? <NoSamples service={service} profileType={profileType} /> : <ProfilePanel layout={flame.value.layout} focus={focus} top={isCut ? top : undefined} state={state} isDark={isDark} onChange={change} />}
      </>
    );
  };
  return (
    <div class={isLoading && flame.value !== undefined ? "page is-stale" : "page"} aria-busy={isLoading}>
      <Toolbar
        state={state}
        catalog={catalog.value?.catalog}
        nowMs={nowMs}
        isLoading={isLoading}
        hasTenantField={tenant !== "" || needsTenant}
        onChange={change}
        onRefresh={refresh}
      />
      <div class={isLoading ? "progress is-on" : "progress"} role="presentation" />
      {missing.length === 0 ? null : <MissingNote missing={missing} onWhole={() => change({ allowsPartial: false })} />}
      {truncated === "" ? null : (
        <p class="note" role="status">
          Not every service is listed: these are the first, by name ({truncated} pairs of service and profile type).
        </p>
      )}
      {body()}
      {error === undefined && flame.value?.receipt !== undefined ? <ReceiptLine receipt={flame.value.receipt} /> : null}
    </div>
  );
}

function NoSamples({ service, profileType }: { readonly service: string; readonly profileType: string }): JSX.Element {
  return (
    <main class="notice">
      <h2>No samples</h2>
      <p>
        {service} has no {profileType.split(":").slice(0, 2).join(" ")} samples that match in this time. Choose a longer time, or fewer labels.
      </p>
    </main>
  );
}

/** What the answers of the page lack, each item once, separated as in the node's texts. */
function missingOf(texts: readonly (string | undefined)[]): string[] {
  return [...new Set(texts.flatMap((text) => (text ?? "").split("; ")).filter((one) => one !== ""))];
}

function isEmpty(layout: FlameGraphLayout): boolean {
  return layout.boxCount <= 1 && (layout.self[0] ?? 0) === 0;
}
