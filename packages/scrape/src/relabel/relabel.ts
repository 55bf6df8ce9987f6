/**
 * Relabelling: rules that change the labels of a target, or drop it, as Prometheus does it, value for value (relabel-golden.test.ts).
 *
 * Rules are applied in order to one label set. An empty value is no label: to set one removes the label. Pure.
 */
import { createHash } from "node:crypto";
import { invalidArgument, messageOf, unreachable } from "@pyromesh/base";
import { RegexBudget, sortLabels } from "@pyromesh/profile";
import type { Label, Labels } from "@pyromesh/profile";
import { RE2JS } from "re2js";
import { expandTemplate } from "./expand-template.ts";
import type { RelabelRule } from "./relabel-rule.ts";

/** Labels after all rules, or the number of the rule (from 0) that dropped the target. */
export type Relabelled = { readonly kind: "kept"; readonly labels: Labels } | { readonly kind: "dropped"; readonly ruleIndex: number };

export type Relabel = (labels: Labels) => Relabelled;

/** Compiles the rules. Throws `REGEX_INVALID` or `REGEX_TOO_LARGE`; each expression has the budget of a request of its own. */
export function compileRules(rules: readonly RelabelRule[]): Relabel {
  const compiled = rules.map((rule) => ({ rule, regex: compileAnchored(rule.regex) }));
  return (labels) => {
    const working = new WorkingLabels(labels);
    for (const [ruleIndex, { rule, regex }] of compiled.entries()) if (!applyRule(working, rule, regex)) return { kind: "dropped", ruleIndex };
    return { kind: "kept", labels: working.sorted() };
  };
}

/** `regex` in RE2 syntax, to be matched against a whole value; its dot matches line breaks. Throws `REGEX_INVALID` or `REGEX_TOO_LARGE`. */
export function compileAnchored(regex: string): RE2JS {
  new RegexBudget().take(regex, "regex: ");
  try {
    return RE2JS.compile(regex, RE2JS.DOTALL);
  } catch (thrown) {
    throw invalidArgument("REGEX_INVALID", messageOf(thrown).replace("(?s)", "").slice(0, SYNTAX_MESSAGE_LENGTH_MAX), thrown);
  }
}

const SYNTAX_MESSAGE_LENGTH_MAX = 300;

/** A label's name that any client of the store can write in a selector. */
export const LABEL_NAME_PATTERN: RegExp = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** False: the target is dropped. */
function applyRule(labels: WorkingLabels, rule: RelabelRule, regex: RE2JS): boolean {
  const joined = rule.sourceLabels.map((name) => labels.get(name)).join(rule.separator);
  switch (rule.action) {
    case "keep":
      return regex.testExact(joined);
    case "drop":
      return !regex.testExact(joined);
    case "keepequal":
      return labels.get(rule.targetLabel) === joined;
    case "dropequal":
      return labels.get(rule.targetLabel) !== joined;
    case "replace":
      replace(labels, rule, regex, joined);
      return true;
    case "lowercase":
      labels.set(rule.targetLabel, eachCharacter(joined, (character) => character.toLowerCase()));
      return true;
    case "uppercase":
      labels.set(rule.targetLabel, eachCharacter(joined, (character) => character.toUpperCase()));
      return true;
    case "hashmod":
      labels.set(rule.targetLabel, String(hashOf(joined) % rule.modulus));
      return true;
    case "labelmap":
      for (const { name, value } of labels.list()) {
        const match = regex.matcher(name);
        if (match.matches()) labels.set(expandTemplate(rule.replacement, (group) => groupOf(match, group)), value);
      }
      return true;
    case "labeldrop":
      for (const { name } of labels.list()) if (regex.testExact(name)) labels.set(name, "");
      return true;
    case "labelkeep":
      for (const { name } of labels.list()) if (!regex.testExact(name)) labels.set(name, "");
      return true;
    default:
      return unreachable(rule.action);
  }
}

/** Nothing changes where the values do not match, or where what the template of the label's name gives is no name. */
function replace(labels: WorkingLabels, { targetLabel, replacement }: RelabelRule, regex: RE2JS, joined: string): void {
  const match = regex.matcher(joined);
  if (!match.matches()) return;
  const target = expandTemplate(targetLabel, (group) => groupOf(match, group));
  if (LABEL_NAME_PATTERN.test(target)) labels.set(target, expandTemplate(replacement, (group) => groupOf(match, group)));
}

type Match = ReturnType<RE2JS["matcher"]>;

/** Empty where there is no such group, or it took no part in the match. */
function groupOf(match: Match, group: string | number): string {
  if (typeof group === "number") return group <= match.groupCount() ? (match.group(group) ?? "") : "";
  return Object.hasOwn(match.namedGroups, group) ? (match.group(group) ?? "") : "";
}

/** As Go does: each character by itself, and one whose other case is several characters (ß) stays. */
function eachCharacter(text: string, change: (character: string) => string): string {
  return Array.from(text, (character) => {
    const changed = change(character);
    return [...changed].length === 1 ? changed : character;
  }).join("");
}

/** The last eight bytes of the MD5 hash, as a number with the highest byte first: Prometheus' choice, so that both share targets out alike. */
function hashOf(text: string): bigint {
  return createHash("md5").update(text).digest().readBigUInt64BE(8);
}

/**
 * The labels while rules change them. They are listed in Prometheus' order, which decides which of two labels that `labelmap` gives the same
 * name wins: those that no rule has set by name, then those that one has, in the order in which they were set first.
 */
class WorkingLabels {
  readonly #values: Map<string, string>;
  readonly #isSet = new Set<string>();

  constructor(labels: Labels) {
    this.#values = new Map(labels.map(({ name, value }) => [name, value]));
  }

  get(name: string): string {
    return this.#values.get(name) ?? "";
  }

  set(name: string, value: string): void {
    if (value === "") {
      this.#isSet.delete(name);
      this.#values.delete(name);
      return;
    }
    if (!this.#isSet.has(name)) this.#values.delete(name);
    this.#isSet.add(name);
    this.#values.set(name, value);
  }

  /** A copy: it may be read while labels are set. */
  list(): Label[] {
    return [...this.#values].map(([name, value]) => ({ name, value }));
  }

  sorted(): Labels {
    return sortLabels(this.list());
  }
}
