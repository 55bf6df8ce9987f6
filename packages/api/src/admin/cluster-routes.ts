/** Routes about the cluster: what this node sees of it, as pages and as JSON, and what an operator may ask of it. COMPAT.md has the shapes. */
import { invalidArgument } from "@pyromesh/base";
import type { ClusterAdmin, ClusterHealth, ClusterStatus, MemberStatus } from "../ports/cluster.ts";
import type { ApiReply, ApiRequest } from "../ports/http.ts";
import { route } from "../ports/route.ts";
import type { Route } from "../ports/route.ts";
import { memberlistPage, membersPage, ringPage } from "./cluster-pages.ts";

/** As many slices of the ring as its picture has: half a degree each. */
const SLICE_COUNT = 720;

export function clusterRoutes(cluster: ClusterAdmin): readonly Route[] {
  return [
    route("GET", "/members", async (request) => {
      const format = formatOf(request, ["json", "http_sd"]);
      if (format === "json") return json(statusJson(cluster.status()));
      if (format === "http_sd") return json(scrapeTargets(cluster.status()));
      return membersPage(cluster.status(), await cluster.health(request.signal));
    }),
    route("GET", "/ring", async (request) => {
      if (formatOf(request, ["json"]) === "json") return json(ringJson(cluster.status(), cluster.ringSlices(SLICE_COUNT)));
      // Status and slices are of one moment: both come after the wait.
      const health = await cluster.health(request.signal);
      return ringPage(cluster.status(), health, cluster.ringSlices(SLICE_COUNT));
    }),
    route("GET", "/memberlist", (request) => {
      const status = cluster.status();
      return Promise.resolve(formatOf(request, ["json"]) === "json" ? json(statusJson(status)) : memberlistPage(status));
    }),
    route("GET", "/api/v1/cluster/health", async (request) => healthReply(await cluster.health(request.signal))),
    route("POST", "/api/v1/cluster/forget", async (request) => {
      const name = request.query.get("name");
      if (name === null || name === "") throw invalidArgument("MEMBER_NOT_NAMED", "say which member to forget: /api/v1/cluster/forget?name=node-2");
      await cluster.forget(name, { isForced: isSet(request, "force") });
      return json({ forgotten: name });
    }, { isOperator: true }),
    route("POST", "/api/v1/cluster/leave", async () => {
      await cluster.leave();
      return json({ leaving: cluster.status().selfName }, 202);
    }, { isOperator: true }),
    route("POST", "/api/v1/cluster/drain", async () => {
      await cluster.drain();
      return json({ draining: cluster.status().selfName }, 202);
    }, { isOperator: true }),
    route("POST", "/api/v1/cluster/resume", async () => {
      await cluster.resume();
      return json({ resumed: cluster.status().selfName });
    }, { isOperator: true }),
  ];
}

/** "page", unless `format` or the Accept header asks for another one of `formats`. */
function formatOf({ query, headers }: ApiRequest, formats: readonly string[]): string {
  const format = query.get("format");
  if (format !== null) {
    if (formats.includes(format)) return format;
    throw invalidArgument("FORMAT_UNKNOWN", `format ${JSON.stringify(format)} is not known: write ${formats.join(" or ")}, or leave it out for a page`);
  }
  const accept = headers["accept"] ?? "";
  return accept.includes("application/json") && !accept.includes("text/html") ? "json" : "page";
}

function isSet({ query }: ApiRequest, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === "false") return false;
  if (value === "" || value === "true") return true;
  throw invalidArgument("QUERY_INVALID", `${name}=${value} is neither true nor false`);
}

/** 503 where no member should be stopped, so that a script needs to look at the status only. */
function healthReply(health: ClusterHealth): ApiReply {
  return json(health, health.mayStop ? 200 : 503);
}

function statusJson({ clusterName, selfName, writesRefusedBecause, queriesRefusedBecause, ...status }: ClusterStatus): object {
  return { cluster: clusterName ?? null, self: selfName, writesRefusedBecause: writesRefusedBecause ?? null, queriesRefusedBecause: queriesRefusedBecause ?? null, ...status };
}

/** `slices` holds names, so that it can be read without the order of `members`. */
function ringJson({ clusterName, members, replication }: ClusterStatus, slices: readonly number[]): object {
  return {
    cluster: clusterName ?? null,
    replication,
    members: members.map(({ name, state, isSuspect, zone, tokens, share }) => ({ name, state, isSuspect, zone, tokens, share })),
    slices: slices.map((index) => members[index]?.name ?? null),
  };
}

/** Prometheus' HTTP service discovery. A dead member is a target too: Prometheus is to see that it does not answer. */
function scrapeTargets({ clusterName, members }: ClusterStatus): object {
  return members.map((member: MemberStatus) => ({
    targets: [member.httpAddress],
    labels: {
      __meta_pyromesh_cluster: clusterName ?? "",
      __meta_pyromesh_member: member.name,
      __meta_pyromesh_state: member.state,
      __meta_pyromesh_zone: member.zone,
      __meta_pyromesh_build: member.build,
    },
  }));
}

function json(value: unknown, status = 200): ApiReply {
  return { status, headers: { "content-type": "application/json", "cache-control": "no-store" }, body: JSON.stringify(value) };
}
