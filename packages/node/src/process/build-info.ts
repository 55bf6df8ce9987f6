/** Describes this build. The version comes from package.json; whoever builds an image gives the revision. */
import { readFileSync } from "node:fs";

export interface BuildInfo {
  readonly version: string;
  readonly revision: string;
  readonly buildDate: string;
  readonly nodeVersion: string;
}

export function readBuildInfo(): BuildInfo {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const version = typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "0.0.0";
  return {
    version,
    revision: process.env["PYROMESH_REVISION"] ?? "",
    buildDate: process.env["PYROMESH_BUILD_DATE"] ?? "",
    nodeVersion: process.version,
  };
}
