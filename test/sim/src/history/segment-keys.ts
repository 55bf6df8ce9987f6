/** The segments that are in the bucket, whatever it shows to nodes. */
import type { World } from "../world/world.ts";

export async function segmentKeys({ bucket }: World): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of bucket.contents.list("v1/", {}, new AbortController().signal)) keys.push(...page.map(({ key }) => key).filter((key) => key.endsWith(".seg")));
  return keys;
}
