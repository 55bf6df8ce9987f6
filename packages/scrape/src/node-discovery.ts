/** The disk and the DNS of a real node, as discovery sees them. */
import { Resolver as DnsResolver } from "node:dns/promises";
import { readdir, readFile, stat } from "node:fs/promises";
import type { DiscoveryFiles, Resolver } from "./target.ts";

export const nodeFiles: DiscoveryFiles = {
  read: (file) => readFile(file, "utf8"),
  list: (folder) => readdir(folder),
  stat: async (file) => {
    const { mtimeMs, size } = await stat(file);
    return { modifiedMs: mtimeMs, sizeBytes: size };
  },
};

/** Asks the servers that the system is configured with. */
export function nodeResolver(): Resolver {
  const resolver = new DnsResolver({ timeout: 5000, tries: 3 });
  return {
    addresses: (name, family) => (family === 4 ? resolver.resolve4(name) : resolver.resolve6(name)),
    services: async (name) => (await resolver.resolveSrv(name)).map((record) => ({ name: record.name, port: record.port })),
    mailServers: async (name) => (await resolver.resolveMx(name)).map(({ exchange }) => exchange),
  };
}
