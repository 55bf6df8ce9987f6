/** The programs that are asked for their profiles: as a page, and as JSON in the shape of Prometheus' `/api/v1/targets`. */
import { invalidArgument } from "@pyromesh/base";
import { printLabels } from "@pyromesh/profile";
import type { Labels } from "@pyromesh/profile";
import type { ApiReply } from "../ports/http.ts";
import { route } from "../ports/route.ts";
import type { Route } from "../ports/route.ts";
import type { ScrapeAdmin, ScrapedTarget, ScrapedTargets } from "../ports/scraping.ts";
import { escapeHtml, htmlPage, htmlTable } from "./html.ts";

export function scrapeRoutes(scraping: ScrapeAdmin): readonly Route[] {
  return [
    route("GET", "/targets", () => Promise.resolve(targetsPage(scraping.targets()))),
    route("GET", "/api/v1/targets", (request) => Promise.resolve(targetsJson(scraping.targets(), request.query.get("state")))),
  ];
}

const STATES = ["active", "dropped", "any"];

/** Prometheus' keys; `member`, `memberHttpAddress`, `nextScrape`, `profile` and `discoveryFailures` are more. */
function targetsJson({ active, dropped, droppedCounts, faults }: ScrapedTargets, given: string | null): ApiReply {
  const state = given ?? "any";
  if (!STATES.includes(state)) throw invalidArgument("STATE_UNKNOWN", `state ${JSON.stringify(state)} is not known: write ${STATES.join(", ")}, or leave it out for all`);
  const data = {
    activeTargets: state === "dropped" ? [] : active.map(activeJson),
    droppedTargets: state === "active" ? [] : dropped.map(({ jobName, discovered, reason }) => ({ discoveredLabels: labelsJson(discovered), scrapePool: jobName, reason })),
    droppedTargetCounts: state === "active" ? {} : droppedCounts,
    discoveryFailures: faults.map(({ jobName, mechanism, source, reason, sinceMs }) => ({ scrapePool: jobName, mechanism, source, error: reason, since: timeText(sinceMs) })),
  };
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ status: "success", data }) };
}

function activeJson(target: ScrapedTarget): object {
  const { jobName, url, labels, discovered, profileName, intervalMs, timeoutMs, member, health, lastError, lastScrapeMs, lastDurationMs, nextScrapeMs } = target;
  return {
    discoveredLabels: labelsJson(discovered),
    labels: labelsJson(labels),
    scrapePool: jobName,
    scrapeUrl: url,
    globalUrl: url,
    lastError,
    lastScrape: timeText(lastScrapeMs) ?? NEVER,
    lastScrapeDuration: lastDurationMs / 1000,
    health,
    scrapeInterval: secondsText(intervalMs),
    scrapeTimeout: secondsText(timeoutMs),
    nextScrape: timeText(nextScrapeMs) ?? null,
    member: member?.name ?? null,
    memberHttpAddress: member?.httpAddress ?? null,
    profile: profileName,
  };
}

/** What Prometheus says of a target that was not scraped yet. */
const NEVER = "0001-01-01T00:00:00Z";

function timeText(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : new Date(timeMs).toISOString();
}

function secondsText(timeMs: number): string {
  return `${timeMs / 1000}s`;
}

function labelsJson(labels: Labels): Record<string, string> {
  return Object.fromEntries(labels.map(({ name, value }) => [name, value]));
}

/** Rows of a table. What is beyond is in the JSON. */
const ROWS_MAX = 1_000;

function targetsPage({ active, dropped, droppedCounts, faults }: ScrapedTargets): ApiReply {
  const here = active.filter(({ member }) => member?.isSelf === true);
  const summary =
    active.length + dropped.length === 0
      ? "<p>Nothing is scraped: the configuration has no <code>scrape_configs</code>, or discovery has found no target yet.</p>"
      : `<p>${active.length} targets, each one profile of one program; this node scrapes ${here.length} of them, and ${here.filter(({ health }) => health === "up").length} of these are up.${active.length > here.length ? " The state of others is on the page of the member that scrapes them." : ""}</p>`;
  const faultRows = faults.slice(0, ROWS_MAX).map(({ jobName, mechanism, source, reason, sinceMs }) => [
    escapeHtml(jobName),
    `${escapeHtml(mechanism)}<br><code>${escapeHtml(source)}</code>`,
    `<span class="bad">${escapeHtml(reason)}</span>`,
    secondText(sinceMs),
  ]);
  const faultTable = faultRows.length === 0 ? "" : `<h2>Discovery fails: ${faults.length}</h2><p>The targets that were known stay.</p>${htmlTable(["job", "source", "because", "since"], faultRows, { isWide: true })}${active.length === 0 ? "" : "<h2>Targets</h2>"}`;
  // What is wrong comes first: of many targets the rest is not in the table.
  const rows = active.toSorted((a, b) => urgency(b) - urgency(a)).slice(0, ROWS_MAX).map((target) => [
    `${escapeHtml(target.jobName)}<br>${escapeHtml(target.profileName)}`,
    stateText(target),
    `<code>${escapeHtml(target.url)}</code>`,
    escapeHtml(printLabels(target.labels)),
    scrapesText(target),
    memberText(target),
  ]);
  const table = rows.length === 0 ? "" : htmlTable(["job, profile", "state", "URL", "labels", "scrapes", "scraped by"], rows, { isWide: true });
  const droppedCount = Object.values(droppedCounts).reduce((sum, count) => sum + count, 0);
  const droppedRows = dropped.slice(0, ROWS_MAX).map(({ jobName, discovered, reason }) => [escapeHtml(jobName), escapeHtml(printLabels(discovered)), escapeHtml(reason)]);
  const droppedTable = droppedRows.length === 0 ? "" : `<h2>Dropped: ${droppedCount}</h2>${htmlTable(["job", "discovered labels", "because"], droppedRows, { isWide: true })}`;
  const more = active.length > ROWS_MAX || dropped.length > ROWS_MAX ? `<p>Tables have the first ${ROWS_MAX}; <a href="api/v1/targets">the JSON</a> has more.</p>` : "";
  return htmlPage("Targets", `${summary}${faultTable}${table}${droppedTable}${more}`, { refreshSeconds: 10 });
}

/** 2: down, here; 1: nobody scrapes it, or it waits. */
function urgency({ health, lastError, member }: ScrapedTarget): number {
  if (member?.isSelf === true && health === "down") return 2;
  return member === undefined || lastError !== "" ? 1 : 0;
}

/** With what is wrong. */
function stateText({ health, lastError, member }: ScrapedTarget): string {
  const error = lastError === "" ? "" : `<span class="bad">${escapeHtml(lastError)}</span>`;
  if (member?.isSelf !== true) return error;
  const css = health === "up" ? "good" : health === "down" ? "bad" : "dim";
  return `<span class="${css}">${health}</span>${error === "" ? "" : `<br>${error}`}`;
}

/** The last one and the next, to the second. */
function scrapesText({ lastScrapeMs, lastDurationMs, nextScrapeMs }: ScrapedTarget): string {
  const last = lastScrapeMs === undefined ? [] : [`last ${secondText(lastScrapeMs)}`, `took ${number(secondsText(Math.round(lastDurationMs)))}`];
  const lines = [...last, ...(nextScrapeMs === undefined ? [] : [`next ${secondText(nextScrapeMs)}`])];
  return lines.map((line) => `<div class="line">${line}</div>`).join("");
}

function secondText(timeMs: number): string {
  return number(new Date(timeMs).toISOString().slice(0, 19).replace("T", " "));
}

function memberText({ member }: ScrapedTarget): string {
  if (member === undefined) return '<span class="bad">nobody: no member is active</span>';
  return member.isSelf ? '<span class="dim">this node</span>' : `<a href="http://${escapeHtml(member.httpAddress)}/targets">${escapeHtml(member.name)}</a>`;
}

function number(text: string): string {
  return `<span class="num">${escapeHtml(text)}</span>`;
}
