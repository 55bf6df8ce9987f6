/** The cluster as pages for people: members, ring, and the member table as gossip has it. */
import type { ClusterHealth, ClusterStatus, MemberHealth, MemberStatus } from "../ports/cluster.ts";
import type { ApiReply } from "../ports/http.ts";
import { escapeHtml, htmlPage, htmlTable } from "./html.ts";
import { colorMark, percent, ringSvg } from "./ring-picture.ts";

const REFRESH = { refreshSeconds: 10 };

export function membersPage(status: ClusterStatus, health: ClusterHealth): ApiReply {
  return htmlPage("Members", `${summary(status)}${verdict(health)}${heldBack(status)}${memberTable(status, health)}${refusals(health)}${lostStores(status)}`, REFRESH);
}

/** `slices`: of `ringSlices`. */
export function ringPage(status: ClusterStatus, health: ClusterHealth, slices: readonly number[]): ApiReply {
  const picture = `<div class="ring">${ringSvg({ slices, members: status.members })}<div>${summary(status)}${verdict(health)}</div></div>`;
  return htmlPage("Ring", `${picture}${memberTable(status, health)}${lostStores(status)}`, REFRESH);
}

export function memberlistPage(status: ClusterStatus): ApiReply {
  const digest = `<p>Digest of this table: <code>${escapeHtml(status.digest)}</code>. Members with equal digests know the same.</p>`;
  const gone = status.gone.length === 0 ? "" : `<h2>Left and forgotten</h2>${entryTable(status.gone)}`;
  return htmlPage("Memberlist", `${summary(status)}${digest}${heldBack(status)}${entryTable(status.members)}${gone}${lostStores(status)}`, REFRESH);
}

function summary({ clusterName, selfName, members, replication, acks, isInContact, writesRefusedBecause, queriesRefusedBecause }: ClusterStatus): string {
  if (clusterName === undefined) return `<p>This node, <b>${escapeHtml(selfName)}</b>, is alone: it has no cluster.</p>`;
  const problems = [
    isInContact ? undefined : "This node is out of contact with the majority: it takes no pushes.",
    writesRefusedBecause === undefined ? undefined : `It takes no pushes: ${writesRefusedBecause}.`,
    queriesRefusedBecause === undefined ? undefined : `It answers no queries: ${queriesRefusedBecause}.`,
  ].flatMap((text) => (text === undefined ? [] : [`<p class="bad">${escapeHtml(text)}</p>`]));
  const active = members.filter(({ state }) => state === "active").length;
  return `<p>Cluster <b>${escapeHtml(clusterName)}</b> as <b>${escapeHtml(selfName)}</b> sees it: ${active} of ${members.length} members active. A record is ${keptText(replication, active)}, and a push is answered once ${acks} ${acks === 1 ? "has" : "have"} it on disk.</p>${problems.join("")}`;
}

/** By how many members a record is kept, in words that follow "a record is". `active`: of the members. */
export function keptText(replication: number, active: number): string {
  const members = replication === 1 ? "1 member" : `${replication} members`;
  return active >= replication ? `kept by ${members}` : `to be kept by ${members}, of which ${active} ${active === 1 ? "is" : "are"} active`;
}

/** Formats that are written in an older version than this build could. */
function heldBack({ formats }: ClusterStatus): string {
  const items = formats.filter(({ newest, version }) => version < newest).map(({ format, heldBackBy, newest, version }) => `<li>${escapeHtml(`${format}: version ${version} is written, not ${newest}${heldBackBy.length === 0 ? ", until a majority has said that it reads it" : `, which ${heldBackBy.join(", ")} cannot read`}`)}</li>`);
  return items.length === 0 ? "" : `<p>The members have different builds, so older formats are written:</p><ul>${items.join("")}</ul>`;
}

function verdict({ mayStop, reasons, notes }: ClusterHealth): string {
  const odd = notes.map((note) => `<p class="bad">${escapeHtml(note)}.</p>`).join("");
  if (mayStop) return `<p class="good">The next node may be stopped.</p>${odd}`;
  return `<p class="bad">No node should be stopped yet:</p><ul>${reasons.map((reason) => `<li>${escapeHtml(reason)}</li>`).join("")}</ul>${odd}`;
}

function memberTable({ members }: ClusterStatus, health: ClusterHealth): string {
  const byName = new Map(health.members.map((member) => [member.name, member]));
  return htmlTable(
    ["", "member", "state", "zone", "HTTP", "share", "records to flush", "kept for others", "to upload", "takeovers", "build"],
    members.map((member, index) => [
      colorMark(index),
      `${escapeHtml(member.name)}${member.isSelf ? ' <span class="dim">(this node)</span>' : ""}`,
      stateText(member),
      escapeHtml(member.zone),
      `<a href="http://${escapeHtml(member.httpAddress)}/ring">${escapeHtml(member.httpAddress)}</a>`,
      number(percent(member.share)),
      ...heldCells(byName.get(member.name)),
      escapeHtml(member.build),
    ]),
  );
}

function heldCells(health: MemberHealth | undefined): string[] {
  const { ownRecords, keptRecords, backlogBytes, takeovers } = health ?? {};
  return [ownRecords, keptRecords].map(count).concat(bytes(backlogBytes), count(takeovers)).map(number);
}

function refusals({ members }: ClusterHealth): string {
  const found = members.flatMap(({ name, lastRefusals }) => lastRefusals.map((text) => [escapeHtml(name), escapeHtml(text)]));
  return found.length === 0 ? "" : `<h2>Last refusals</h2>${htmlTable(["member", "refusal"], found)}`;
}

function entryTable(members: readonly MemberStatus[]): string {
  return htmlTable(
    ["member", "state", "incarnation", "cluster", "store", "boot", "protocol", "formats", "tokens", "fewest copies of a record", "build"],
    members.map((member) => [
      escapeHtml(member.name),
      stateText(member),
      number(String(member.incarnation)),
      escapeHtml(member.clusterAddress),
      `<code>${escapeHtml(member.storeId)}</code>`,
      `<code>${escapeHtml(member.bootId)}</code>`,
      number(`${member.protocolMin}-${member.protocolMax}`),
      escapeHtml(Object.entries(member.formats).map(([format, { reads }]) => `${format} ${reads}`).join(", ")),
      number(String(member.tokens)),
      number(String(member.acksHeld)),
      escapeHtml(member.build),
    ]),
  );
}

function lostStores({ lostStores: stores }: ClusterStatus): string {
  if (stores.length === 0) return "";
  const rows = stores.map((store) => [
    escapeHtml(store.member),
    `<code>${escapeHtml(store.storeId)}</code>`,
    number(String(store.incarnation)),
    store.isCleared ? '<span class="good">cleared: nothing of it is missing</span>' : '<span class="bad">not cleared: it counts as one that does not answer</span>',
    escapeHtml(store.fencedBy.join(", ")),
    escapeHtml(store.flushedBy.join(", ")),
  ]);
  return `<h2>Lost stores</h2>${htmlTable(["member", "store", "incarnation", "", "fenced by", "flushed by"], rows)}`;
}

function stateText({ state, isSuspect }: MemberStatus): string {
  const css = state === "active" && !isSuspect ? "good" : state === "dead" || isSuspect ? "bad" : "dim";
  return `<span class="${css}">${state}${isSuspect ? ", suspect" : ""}</span>`;
}

function number(text: string): string {
  return `<span class="num">${escapeHtml(text)}</span>`;
}

function count(value: number | undefined): string {
  return value === undefined ? "" : value.toLocaleString("en-US");
}

/** To three digits: 1.50 MB. */
function bytes(size: number | undefined): string {
  if (size === undefined) return "";
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${BYTE_UNITS[unit]}`;
}

const BYTE_UNITS = ["B", "KB", "MB", "GB", "TB"];
