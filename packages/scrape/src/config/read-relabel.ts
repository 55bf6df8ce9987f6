/** Reads `relabel_configs`, and refuses what Prometheus refuses. */
import { messageOf } from "@pyromesh/base";
import { isNameTemplate } from "../relabel/expand-template.ts";
import { compileAnchored, LABEL_NAME_PATTERN } from "../relabel/relabel.ts";
import { RELABEL_ACTIONS } from "../relabel/relabel-rule.ts";
import type { RelabelAction, RelabelRule } from "../relabel/relabel-rule.ts";
import type { GroupReader } from "./group-reader.ts";

/** What Prometheus takes where nothing is written. */
const DEFAULTS = { separator: ";", regex: "(.*)", replacement: "$1" };

/** Each rule costs a test of each target at each change. A job with more rules is refused. */
export const RELABEL_RULES_MAX = 500;

export function readRelabelRules(job: GroupReader): RelabelRule[] {
  const groups = job.groups("relabel_configs");
  if (groups.length > RELABEL_RULES_MAX) job.refuse("relabel_configs", `${groups.length} rules are too many: write ${RELABEL_RULES_MAX} or fewer`);
  return groups.map(readRelabelRule);
}

const MODULUS_MAX = 2n ** 64n - 1n;

function readRelabelRule(group: GroupReader): RelabelRule {
  const rule: RelabelRule = {
    // Written in any case, as Prometheus takes them.
    action: readAction(group),
    sourceLabels: group.texts("source_labels"),
    separator: group.text("separator", DEFAULTS.separator),
    regex: group.text("regex", DEFAULTS.regex),
    modulus: group.count("modulus", MODULUS_MAX) ?? 0n,
    targetLabel: group.text("target_label", ""),
    replacement: group.text("replacement", DEFAULTS.replacement),
  };
  group.finish();
  for (const name of rule.sourceLabels) if (!LABEL_NAME_PATTERN.test(name)) group.refuse("source_labels", `source_labels: ${JSON.stringify(name)} is not a label's name`);
  if (group.has("regex")) {
    try {
      compileAnchored(rule.regex);
    } catch (thrown) {
      group.refuse("regex", `regex: ${messageOf(thrown)}`);
    }
  }
  const fault = faultOf(rule, group);
  if (fault !== undefined) group.refuse(undefined, fault);
  return rule;
}

function readAction(group: GroupReader): RelabelAction {
  const written = group.optionalText("action");
  const action = RELABEL_ACTIONS.find((known) => known === written?.toLowerCase());
  return action ?? group.oneOf("action", RELABEL_ACTIONS, "replace");
}

/** Settings that an action does not look at; written all the same they are a mistake. */
const UNUSED: Partial<Record<RelabelAction, readonly string[]>> = {
  labeldrop: ["source_labels", "target_label", "modulus", "separator", "replacement"],
  labelkeep: ["source_labels", "target_label", "modulus", "separator", "replacement"],
  keepequal: ["regex", "modulus", "separator", "replacement"],
  dropequal: ["regex", "modulus", "separator", "replacement"],
};

const TARGET_NEEDED: readonly RelabelAction[] = ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"];

function faultOf(rule: RelabelRule, group: GroupReader): string | undefined {
  const { action, targetLabel, replacement, modulus } = rule;
  const unused = UNUSED[action]?.filter((key) => group.has(key)) ?? [];
  if (unused.length > 0) return `the action ${action} does not use ${unused.join(", ")}: take ${unused.length === 1 ? "it" : "them"} out`;
  if (TARGET_NEEDED.includes(action) && targetLabel === "") return `the action ${action} needs target_label`;
  if (action === "hashmod" && modulus === 0n) return "the action hashmod needs modulus, 1 or more";
  if (action === "replace" && !isNameTemplate(targetLabel)) return `target_label ${JSON.stringify(targetLabel)} is not a label's name, nor one with references as \${1}`;
  if (TARGET_NEEDED.includes(action) && action !== "replace" && !LABEL_NAME_PATTERN.test(targetLabel)) return `target_label ${JSON.stringify(targetLabel)} is not a label's name`;
  if (action === "labelmap" && !isNameTemplate(replacement)) return `replacement ${JSON.stringify(replacement)} is not a label's name, nor one with references as \${1}`;
  if ((action === "lowercase" || action === "uppercase") && group.has("replacement")) return `the action ${action} does not use replacement: take it out`;
  return undefined;
}
