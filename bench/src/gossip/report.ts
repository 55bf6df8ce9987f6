/** The results as a page of docs/. */
import type { Figures } from "./figures.ts";
import type { ScaleOptions, ScaleResult } from "./command.ts";

export function printScale(results: readonly ScaleResult[], { seed, settings }: ScaleOptions): string {
  const rows: [string, (result: ScaleResult) => string][] = [
    ["messages that a member sends per second, idle", ({ idle }) => idle.messagesPerSecond.toFixed(1)],
    ["bytes that a member sends per second, idle", ({ idle }) => Math.round(idle.bytesPerSecond).toLocaleString("en-US")],
    ["times that a member was out of contact, idle", ({ idle }) => String(idle.outOfContactCount)],
    ["a change is known to all: p50, p99", ({ change }) => print(change)],
    ["the same at 5 % loss: p50, p99", ({ changeAtLoss }) => print(changeAtLoss)],
    ["a machine is gone, at 5 % loss, until a member holds it for dead: p50, p99", ({ crashSilent }) => print(crashSilent)],
    ["a process ends and its links close, at 5 % loss: p50, p99", ({ crashClosed }) => print(crashClosed)],
    ["others declared dead meanwhile", ({ falseDeathsInCrashes }) => String(falseDeathsInCrashes)],
    ["calm at 5 % loss: simulated hours (of each member); suspicions; false deaths", ({ calm }) => `${calm.hours}; ${calm.suspicionCount.toLocaleString("en-US")}; ${calm.deathCount}`],
    ["two halves for minutes: how long; declared dead", ({ split }) => `${split.minutes} min; ${split.deathCount}`],
    ["after the heal, until all are in contact", ({ split }) => seconds(split.inContactMs)],
    ["after the heal, until all know the same and suspect nobody", ({ split }) => seconds(split.convergedMs)],
  ];
  const lines = [
    "# Membership at scale",
    "",
    "Made by `npm run bench -- gossip`: the state machines of membership in simulated time, with the constants that nodes use. The gossip topic is off, so all goes by",
    "probes, news and comparisons of tables; messages take 1 to 3 ms, a lost one is lost for good, the state is on disk after 5 ms. Bytes are those of the messages and of",
    "the framing and encryption of a link (39 bytes each). The same seed gives the same figures on any machine.",
    "",
    `| seed ${seed} | ${results.map(({ size }) => `${size.toLocaleString("en-US")} members`).join(" | ")} |`,
    `|---|${results.map(() => "---|").join("")}`,
    ...rows.map(([title, print_]) => `| ${title} | ${results.map(print_).join(" | ")} |`),
    "",
    `Trials: ${results.map(({ size, change, crashCount }) => `${change.count} changes and ${crashCount} crashes of each kind at ${size.toLocaleString("en-US")} members`).join(", ")}.`,
    "",
    `The constants: ${constantsOf(settings)} (\`MEMBERSHIP_SETTINGS\` in \`packages/gossip/src/membership/settings.ts\`).`,
    "",
  ];
  return lines.join("\n");
}

function constantsOf({ detector, news, ...own }: ScaleOptions["settings"]): string {
  return Object.entries({ ...detector, ...news, ...own })
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

function print({ p50, p99 }: Figures): string {
  return `${seconds(p50)}, ${seconds(p99)}`;
}

function seconds(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return "not within 5 min";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
