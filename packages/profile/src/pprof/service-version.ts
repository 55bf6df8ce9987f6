/**
 * The version of a service, which its client tells in labels, put where a profile carries versions: into the build id of every
 * mapping, as JSON in Pyroscope's form (reference 1.3 step 8). So pprof that is fetched says which sources it belongs to.
 *
 *   service_repository="github.com/shop/cart", service_git_ref="v1"   build id "ab12"
 *   -->  build id {"repository":"github.com/shop/cart","git_ref":"v1","build_id":"ab12"}
 */
import type { Label } from "../labels/labels.ts";
import { labelValue } from "../labels/labels.ts";
import type { PprofDecoder } from "./pprof-decode.ts";
import { StringRewrite } from "./string-rewrite.ts";

/**
 * Every build id repeats the version, so a push of many mappings and long labels would grow a thousandfold. Past this, far beyond
 * any real program, build ids stay as they came: what is lost is a link to sources.
 */
const BUILD_IDS_BYTES_MAX = 1 << 20;

/** After strings were held to their limit: the version does not count towards it. */
export function putServiceVersion(decoded: PprofDecoder, labels: readonly Label[]): void {
  const repository = labelValue(labels, "service_repository") ?? "";
  const gitRef = labelValue(labels, "service_git_ref") ?? "";
  const rootPath = labelValue(labels, "service_root_path") ?? "";
  if (repository === "" && gitRef === "" && rootPath === "") return;
  const { mappingCount, mappingBuildId } = decoded;
  const versions = new Map<number, string>();
  let sizeBytes = 0;
  for (let i = 1; i <= mappingCount; i++) {
    const buildId = mappingBuildId[i]!;
    if (versions.has(buildId)) continue;
    const version = goJson({ repository, git_ref: gitRef, build_id: decoded.text(buildId), root_path: rootPath });
    sizeBytes += Buffer.byteLength(version);
    if (sizeBytes > BUILD_IDS_BYTES_MAX) return;
    versions.set(buildId, version);
  }
  const rewrite = new StringRewrite(decoded);
  for (let i = 1; i <= mappingCount; i++) mappingBuildId[i] = rewrite.add(versions.get(mappingBuildId[i]!)!);
}

/** As Go writes it: without what is empty, and safe to stand in HTML. */
function goJson(fields: Readonly<Record<string, string>>): string {
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
  return JSON.stringify(kept).replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
