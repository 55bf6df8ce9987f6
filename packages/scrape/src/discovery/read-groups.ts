/** Reads target groups as files and servers give them: a list of `{targets: [...], labels: {...}}`. Throws a sentence for the first fault. */
import { GroupReader } from "../config/group-reader.ts";
import type { ScrapeProblem } from "../config/group-reader.ts";
import { faultOfAddress } from "../config/target-address.ts";
import { LABEL_NAME_PATTERN } from "../relabel/relabel.ts";
import type { LabelValues, TargetGroup } from "./discovery.ts";

/** Targets of one file or answer. One with more is refused as a whole. */
export const GROUP_TARGETS_MAX = 50_000;

/** `labels` are given to each group besides its own, which do not replace them. */
export function readGroups(value: unknown, labels: LabelValues): TargetGroup[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw new Error("it is not a list of groups: write [{targets: [host:port], labels: {...}}]");
  const problems: ScrapeProblem[] = [];
  let count = 0;
  const groups = value.map((entry: unknown, index): TargetGroup => {
    const group = new GroupReader(entry, [index], problems);
    const targets = group.texts("targets");
    const own = group.textMap("labels");
    group.finish();
    count += targets.length;
    for (const target of targets) {
      const fault = faultOfAddress(target);
      if (fault !== undefined) group.refuse("targets", fault);
    }
    for (const name of Object.keys(own)) if (!LABEL_NAME_PATTERN.test(name)) group.refuse("labels", `${JSON.stringify(name)} is not a label's name`);
    return { targets: targets.map((address) => ({ __address__: address })), labels: { ...own, ...labels } };
  });
  const [problem] = problems;
  if (problem !== undefined) throw new Error(`entry ${problem.path.join(".")}: ${problem.message}`);
  if (count > GROUP_TARGETS_MAX) throw new Error(`it has ${count} targets, more than ${GROUP_TARGETS_MAX}`);
  return groups;
}
