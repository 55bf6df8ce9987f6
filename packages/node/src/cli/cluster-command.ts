/**
 * `pyromesh cluster`: what a node sees of its cluster, whether the next node may be stopped, and the operator's words: forget, leave, drain, resume.
 *
 * The words are answered to peers on the node's own machine only, or at its `--admin-addr`: run them there.
 */
import { keptText } from "@pyromesh/api";
import { CodedError } from "@pyromesh/base";
import type { Client } from "./client.ts";
import { readHealthReply, readStatusReply } from "./cluster-reply.ts";
import type { HealthReply, HeldReply, StatusReply } from "./cluster-reply.ts";
import { EXIT_FAILED } from "./command.ts";
import type { AddCommand, CommandModules } from "./command.ts";
import { addConnectionFlags, openClient } from "./connection-flags.ts";
import type { ConnectionFlags } from "./connection-flags.ts";
import { shortSize, textTable } from "./text-table.ts";

const POLL_INTERVAL_MS = 1000;
const FAILURES_MAX = 10;

interface Flags extends ConnectionFlags {
  readonly json?: boolean;
  readonly force?: boolean;
  /** False: `--no-wait`. */
  readonly wait?: boolean;
}

export const addCluster: AddCommand = (program, modules, done) => {
  const { terminal } = modules;
  const command = program.command("cluster").description("look at the cluster; forget, leave, drain or resume a member");

  addConnectionFlags(command.command("status").description("members, what each holds, and what is lost").option("--json", "as the API answers it")).action(async (flags: Flags) => {
    const client = openClient(flags, modules);
    const [status, health] = [await client.get("/members?format=json"), await askHealth(client)];
    if (flags.json === true) terminal.out(`${JSON.stringify({ status: status.json, health })}\n`);
    else terminal.out(statusText(readStatusReply(status.json), readHealthReply(health)));
    done(0);
  });

  addConnectionFlags(command.command("health").description("may the next node be stopped, and why not yet; exit code 1: not yet").option("--json", "as the API answers it")).action(async (flags: Flags) => {
    const json = await askHealth(openClient(flags, modules));
    const health = readHealthReply(json);
    terminal.out(flags.json === true ? `${JSON.stringify(json)}\n` : healthText(health));
    done(health.mayStop ? 0 : EXIT_FAILED);
  });

  const forget = command
    .command("forget")
    .description("remove a member whose machine is gone")
    .argument("<name>", "the member, as pyromesh cluster status names it")
    .option("--force", "although its loss is not cleared: what only it held is given up");
  addConnectionFlags(forget).action(async (name: string, flags: Flags) => {
    await openClient(flags, modules).command(`/api/v1/cluster/forget?name=${encodeURIComponent(name)}${flags.force === true ? "&force=true" : ""}`);
    terminal.out(`forgotten: ${name}\n`);
    done(0);
  });

  const leave = command.command("leave").description("take this node out of the cluster: it flushes all that it holds, and its process ends").option("--no-wait", "return once it has begun");
  addConnectionFlags(leave).action(async (flags: Flags) => {
    const client = openClient(flags, modules);
    const self = readStatusReply((await client.get("/members?format=json")).json).self;
    await client.command("/api/v1/cluster/leave");
    terminal.note(`${self} is leaving: it flushes what it holds, and its process ends\n`);
    if (flags.wait !== false) await waitFor(client, self, modules, () => false);
    done(0);
  });

  const drain = command.command("drain").description("let this node flush all that it holds, and take no more pushes; it goes on answering queries").option("--no-wait", "return once it has begun");
  addConnectionFlags(drain).action(async (flags: Flags) => {
    const client = openClient(flags, modules);
    const self = readStatusReply((await client.get("/members?format=json")).json).self;
    await client.command("/api/v1/cluster/drain");
    terminal.note(`${self} is draining: it takes no more pushes and flushes what it holds\n`);
    if (flags.wait !== false) {
      if ((await waitFor(client, self, modules, (health) => health.ownRecords === 0 && health.keptRecords === 0 && health.backlogBytes === 0)) === "ended") throw endedEarly(self);
      terminal.note(`${self} holds nothing any more that is not in the bucket: stop it when you like, or take the drain back with "pyromesh cluster resume"\n`);
    }
    done(0);
  });

  addConnectionFlags(command.command("resume").description("take a drain back, or a leave that has not ended: this node takes pushes again")).action(async (flags: Flags) => {
    await openClient(flags, modules).command("/api/v1/cluster/resume");
    terminal.out("it takes pushes again\n");
    done(0);
  });
};

/** 503 with the same body is an answer too: not yet. */
async function askHealth(client: Client): Promise<unknown> {
  return (await client.get("/api/v1/cluster/health", { isAnswer: (status, json) => status === 503 && typeof json === "object" && json !== null && "mayStop" in json })).json;
}

/**
 * Asks the node each second until `isDone` of what it says of itself, or until nothing listens there any more. A question that is refused or waits too long says neither:
 * after `FAILURES_MAX` of them in a row the command fails with the last one.
 */
async function waitFor(client: Client, self: string, { clock, terminal }: CommandModules, isDone: (health: HeldReply) => boolean): Promise<"done" | "ended"> {
  let told = "";
  const tell = (text: string): void => {
    if (text !== told) terminal.note((told = text));
  };
  for (let failureCount = 0; ; ) {
    try {
      const health = readHealthReply(await askHealth(client));
      failureCount = 0;
      // Once it has left, it is no member any more.
      const own = health.members.find(({ name }) => name === self);
      if (own !== undefined && isDone(own)) return "done";
      tell(own === undefined ? `${self} has left\n` : `${self}: ${heldText(own)}\n`);
    } catch (error) {
      if (isGone(error)) {
        tell(`${self} has ended\n`);
        return "ended";
      }
      if (++failureCount === FAILURES_MAX) throw error;
    }
    await clock.sleep(POLL_INTERVAL_MS);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof CodedError && error.code === "UNREACHABLE" && error.details["isTimeout"] !== true;
}

/** What it held is on its disk. */
function endedEarly(self: string): CodedError {
  return new CodedError({ code: "NODE_ENDED", kind: "unavailable", message: `${self} ended before all that it held was in the bucket: its data directory has the rest, so start it again` });
}

function statusText(status: StatusReply, health: HealthReply): string {
  const byName = new Map(health.members.map((member) => [member.name, member]));
  const rows = status.members.map((member) => {
    const held = byName.get(member.name);
    return [
      member.name + (member.isSelf ? " *" : ""),
      member.state + (member.isSuspect ? ", suspect" : ""),
      member.zone === "" ? "-" : member.zone,
      member.httpAddress,
      member.clusterAddress === "" ? "-" : member.clusterAddress,
      `${(member.share * 100).toFixed(1)} %`,
      ...heldCells(held),
      member.build,
    ];
  });
  const active = status.members.filter(({ state }) => state === "active").length;
  const lines = [
    status.cluster === null ? `${status.self} is alone: it has no cluster` : `cluster ${status.cluster}, as ${status.self} (*) sees it: ${active} of ${status.members.length} members active`,
    `a record is ${keptText(status.replication, active)}, and a push is answered once ${status.acks} ${status.acks === 1 ? "has" : "have"} it on disk`,
    ...(status.isInContact ? [] : ["this node is out of contact with the majority: it takes no pushes"]),
    ...(status.writesRefusedBecause === null ? [] : [`it takes no pushes: ${status.writesRefusedBecause}`]),
    ...(status.queriesRefusedBecause === null ? [] : [`it answers no queries: ${status.queriesRefusedBecause}`]),
    "",
    textTable(["MEMBER", "STATE", "ZONE", "HTTP", "CLUSTER", "SHARE", "TO FLUSH", "KEPT FOR OTHERS", "TO UPLOAD", "TAKEOVERS", "BUILD"], rows),
    "",
    ...(status.formats ?? []).filter(({ newest, version }) => version < newest).map(heldBackText),
    ...status.gone.map(({ name, state }) => `${state === "left" ? "left" : "forgotten"}: ${name}`),
    ...status.lostStores.map(({ member, storeId, isCleared }) => `lost store of ${member}: ${storeId}, ${isCleared ? "cleared: nothing of it is missing" : "not cleared: it counts as one that does not answer"}`),
  ];
  return `${lines.join("\n")}\n${healthText(health)}`;
}

function heldBackText({ format, heldBackBy, newest, version }: NonNullable<StatusReply["formats"]>[number]): string {
  return `held back: ${format} is written in version ${version}, not ${newest}, ${heldBackBy.length === 0 ? "until a majority has said that it reads it" : `until all read it; not yet: ${heldBackBy.join(", ")}`}`;
}

function healthText({ mayStop, notes = [], reasons }: HealthReply): string {
  const odd = notes.map((note) => `${note}\n`).join("");
  if (mayStop) return `the next node may be stopped\n${odd}`;
  return `no node should be stopped yet:\n${reasons.map((reason) => `  ${reason}\n`).join("")}${odd}`;
}

/** "?": it did not say. */
function heldCells({ ownRecords, keptRecords, backlogBytes, takeovers }: Partial<HeldReply> = {}): string[] {
  const count = (value: number | undefined): string => (value === undefined ? "?" : String(value));
  return [count(ownRecords), count(keptRecords), backlogBytes === undefined ? "?" : shortSize(backlogBytes), count(takeovers)];
}

function heldText({ ownRecords = 0, keptRecords = 0, backlogBytes = 0 }: HeldReply): string {
  return `${ownRecords} records to flush, ${keptRecords} kept for others, ${shortSize(backlogBytes)} to upload`;
}
