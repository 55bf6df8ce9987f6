/** `pyromesh dev`: a cluster of several nodes on this machine, in one terminal. */
import { startChildNode } from "../process/child-node.ts";
import { usage } from "./client.ts";
import type { AddCommand } from "./command.ts";
import { runDevCluster } from "./dev-cluster.ts";

/** Each takes some 150 MB and a share of the cores. */
const NODES_MAX = 9;

/** Given to all, no two of the nodes could run. */
const OF_ONE_NODE: ReadonlySet<string> = new Set(["--node-name", "--data-dir", "--http-addr", "--http-advertise", "--admin-addr", "--cluster-addr", "--cluster-advertise"]);

interface Flags {
  readonly nodes: string;
  readonly dir: string;
  readonly httpPort: string;
  readonly clusterPort: string;
}

export const addDev: AddCommand = (program, { terminal, clock, fetch }, done) => {
  program
    .command("dev")
    .description("run a cluster of several nodes on this machine; what follows -- goes to each, as to serve")
    .argument("[flags...]", "flags of serve: pyromesh dev --nodes 3 -- --flush-interval 10s")
    .option("--nodes <count>", "how many", "3")
    .option("--dir <dir>", "folder for their data, and for the bucket that they share", "./data/dev")
    .option("--http-port <port>", "of the first one; the others have the next ones", "4040")
    .option("--cluster-port <port>", "the same", "7946")
    .action(async (flags: readonly string[], { nodes, dir, httpPort, clusterPort }: Flags) => {
      const single = flags.map((flag) => flag.split("=", 1)[0]!).find((flag) => OF_ONE_NODE.has(flag));
      if (single !== undefined) throw usage(`${single} differs from node to node, and what follows -- goes to each: names, folders and ports are those of --dir, --http-port and --cluster-port`);
      const options = { nodeCount: number(nodes, "--nodes", 1, NODES_MAX), dir, httpPort: number(httpPort, "--http-port", 1, 65_000), clusterPort: number(clusterPort, "--cluster-port", 1, 65_000), flags };
      const stopping = new AbortController();
      // Each node gets the terminal's Ctrl-C itself as well, and takes the second signal for the first.
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stopping.abort());
      done(await runDevCluster(options, { clock, fetch, terminal, startProcess: startChildNode }, stopping.signal));
    });
};

function number(text: string, flag: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw usage(`${flag} ${JSON.stringify(text)} is not a number from ${min} to ${max}`);
}
