/**
 * A regular expression that must match a whole value, with its groups.
 *
 * Labels have few values and targets have many labels in common, so what a value gave is remembered. A property in the test: with and without, the
 * answers are the same.
 */
import { invalidArgument, messageOf } from "@pyromesh/base";
import { RegexBudget } from "@pyromesh/profile";
import { RE2JS } from "re2js";

/** By number, 0 the whole value, or by name. Empty where there is no such group, or it took no part. */
export type Groups = (group: string | number) => string;

/** Values whose answer is remembered. At the bound all are forgotten. */
const REMEMBERED_COUNT_MAX = 1024;

export class ValueRegex {
  readonly #regex: RE2JS;
  readonly #isEverything: boolean;
  readonly #names: Readonly<Record<string, number>>;
  readonly #remembered = new Map<string, readonly string[] | undefined>();

  /** RE2 syntax; the dot matches line breaks. Throws `REGEX_INVALID`, or `REGEX_TOO_LARGE` where it would compile to more than a whole query may. */
  constructor(pattern: string) {
    new RegexBudget().take(pattern, "regex: ");
    try {
      this.#regex = RE2JS.compile(pattern, RE2JS.DOTALL);
    } catch (thrown) {
      // The engine's message may quote all of the expression, with flags of its own in front.
      throw invalidArgument("REGEX_INVALID", messageOf(thrown).replace("(?s)", "").slice(0, SYNTAX_MESSAGE_LENGTH_MAX), thrown);
    }
    this.#isEverything = pattern === "(.*)";
    this.#names = this.#regex.namedGroups() as Record<string, number>;
  }

  matches(value: string): boolean {
    return this.#isEverything || this.#groupsOf(value) !== undefined;
  }

  /** Undefined where the value does not match. */
  match(value: string): Groups | undefined {
    const groups = this.#isEverything ? [value, value] : this.#groupsOf(value);
    if (groups === undefined) return undefined;
    return (group) => {
      if (typeof group === "number") return groups[group] ?? "";
      return Object.hasOwn(this.#names, group) ? (groups[this.#names[group]!] ?? "") : "";
    };
  }

  #groupsOf(value: string): readonly string[] | undefined {
    if (this.#remembered.has(value)) return this.#remembered.get(value);
    const match = this.#regex.matcher(value);
    const groups = match.matches() ? Array.from({ length: match.groupCount() + 1 }, (_, group) => match.group(group) ?? "") : undefined;
    if (this.#remembered.size >= REMEMBERED_COUNT_MAX) this.#remembered.clear();
    this.#remembered.set(value, groups);
    return groups;
  }
}

const SYNTAX_MESSAGE_LENGTH_MAX = 300;
