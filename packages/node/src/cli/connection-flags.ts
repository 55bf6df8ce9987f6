/** The flags of every command that talks to a node: where it is, as whom, how long to wait. */
import { messageOf, parseDuration, parseTenantId } from "@pyromesh/base";
import type { Command } from "commander";
import { Client, usage } from "./client.ts";
import type { CommandModules } from "./command.ts";

export interface ConnectionFlags {
  readonly url?: string;
  readonly tenant?: string;
  readonly timeout: string;
}

export function addConnectionFlags(command: Command): Command {
  return command
    .option("--url <url>", "where the node is (PYROMESH_URL; default http://127.0.0.1:4040)")
    .option("--tenant <id>", "tenant to act as (PYROMESH_TENANT)")
    .option("--timeout <duration>", "longest wait for one answer", "60s");
}

export function openClient(flags: ConnectionFlags & { readonly allowPartial?: boolean }, { terminal, clock, fetch }: CommandModules): Client {
  const url = flags.url ?? (terminal.env["PYROMESH_URL"] || "http://127.0.0.1:4040");
  const tenant = flags.tenant ?? (terminal.env["PYROMESH_TENANT"] || undefined);
  if (tenant !== undefined) checkTenant(tenant);
  const onMissing = (what: string): void => terminal.note(`the answer is not complete: ${what}\n`);
  const onTruncated = (how: string): void => terminal.note(`the list was cut: the first ${how}; --query narrows it, --limit and the server's max_label_listing say how long it may be\n`);
  return new Client({ url, tenant, timeoutMs: readTimeout(flags.timeout), allowsPartial: flags.allowPartial === true }, { clock, fetch, onMissing, onTruncated });
}

/** Refuses what a header cannot carry: `fetch` would fail as if the node were not there. */
function checkTenant(text: string): void {
  try {
    for (const id of text.split("|")) parseTenantId(id.trim());
  } catch (thrown) {
    throw usage(`--tenant: ${messageOf(thrown)}`);
  }
}

function readTimeout(text: string): number {
  try {
    return parseDuration(text);
  } catch (thrown) {
    throw usage(`--timeout: ${messageOf(thrown)}`);
  }
}
