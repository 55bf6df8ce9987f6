/**
 * From what a request names (strings) to what a query means: matchers, a profile type, ids as bytes. Everything a caller can
 * misspell in a selection is refused here, with a sentence that says how to write it.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import { LABEL_PROFILE_TYPE, makeMatcher, parseProfileType, parseQuery, parseSelector, parseUuid, printProfileType, RegexBudget, SELECTOR_LENGTH_MAX } from "@pyromesh/profile";
import type { Matcher, ProfileType } from "@pyromesh/profile";
import type { StackTraceSelectorMessage } from "../proto/types-v1.ts";

/** What of the matching profiles is wanted; the fields a MergeQuery has besides its scope. */
export interface Selection {
  readonly profileType: ProfileType;
  readonly selector: readonly Matcher[];
  readonly callSite: readonly string[];
  readonly profileIds: readonly Uint8Array[];
  readonly spanIds: readonly string[];
  readonly traceIds: readonly string[];
}

export interface SelectionInput {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly stackTraceSelector?: StackTraceSelectorMessage | undefined;
  readonly profileIdSelector?: readonly string[];
  readonly spanSelector?: readonly string[];
  readonly traceIdSelector?: readonly string[];
}

/** Ids, or functions of a call site, in one request. A selection of more is a mistake, and each is compared with every profile read. */
const ID_COUNT_MAX = 10_000;

/** Labels to group by. A series has some 30 at most, and each name here is looked for in each series read. */
const GROUP_BY_COUNT_MAX = 100;

/** A request with two selections, as a diff, passes one budget to both. */
export function readSelection(input: SelectionInput, budget: RegexBudget = new RegexBudget()): Selection {
  const profileType = parseProfileType(input.profileTypeID);
  const selector = readSelector(input.labelSelector, budget);
  const spanIds = checkIds(input.spanSelector ?? [], 16, "span_selector");
  const traceIds = checkIds(input.traceIdSelector ?? [], 32, "trace_id_selector");
  if (spanIds.length > 0 && traceIds.length > 0) {
    throw invalidArgument("SELECTION_AMBIGUOUS", "span_selector and trace_id_selector are both set: send one of them");
  }
  const profileIds = bounded(input.profileIdSelector ?? [], "profile_id_selector").map((text) => {
    const id = parseUuid(text);
    if (id === undefined) throw invalidArgument("PROFILE_ID_INVALID", `profile_id_selector has ${quote(text)}, which is no UUID`);
    return id;
  });
  // go_pgo wins over call_site, as it does there.
  const callSite = input.stackTraceSelector?.goPgo === undefined ? bounded(input.stackTraceSelector?.callSite ?? [], "call_site").map((location) => location.name) : [];
  return { profileType, selector, callSite, profileIds, spanIds, traceIds };
}

/** The two sides of a diff: nanoseconds less bytes mean nothing. `names` are the sides' own, for the error. */
export function checkSameType(left: Pick<Selection, "profileType">, right: Pick<Selection, "profileType">, names: readonly [left: string, right: string]): void {
  const [leftType, rightType] = [printProfileType(left.profileType), printProfileType(right.profileType)];
  if (leftType === rightType) return;
  throw invalidArgument("PROFILE_TYPES_DIFFER", `${names[0]} is about ${leftType}, ${names[1]} about ${rightType}: compare profiles of one type`);
}

/** `{}` is everything; an empty text is a mistake. */
export function readSelector(text: string, budget: RegexBudget = new RegexBudget()): Matcher[] {
  try {
    return parseSelector(text, budget);
  } catch (thrown) {
    throw explained(thrown, `label selector ${quote(text)}`);
  }
}

/** Of the label endpoints: all of them together are one selector. An empty text is everything there: Grafana sends it before a query is typed. */
export function readSelectors(texts: readonly string[]): Matcher[][] {
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length > SELECTOR_LENGTH_MAX) {
    throw invalidArgument("SELECTION_TOO_LARGE", `matchers have ${length} characters together, more than ${SELECTOR_LENGTH_MAX}: match with fewer, or with a regular expression`);
  }
  const budget = new RegexBudget();
  const matchers = texts.flatMap((text) => (text.trim() === "" ? [] : readSelector(text, budget)));
  return matchers.length === 0 ? [] : [matchers];
}

/** Names of labels, as sent. */
export function readGroupBy(names: readonly string[]): readonly string[] {
  return bounded(names, "group_by", GROUP_BY_COUNT_MAX);
}

/** Of a Series request: each is looked for in each series read. */
export function readLabelNames(names: readonly string[]): readonly string[] {
  return bounded(names, "label_names", LABEL_NAME_COUNT_MAX);
}

/** A caller may name more than a series has, but not without an end: the list goes along with each part of the work. */
const LABEL_NAME_COUNT_MAX = 1000;

export interface RenderQuery {
  readonly profileType: ProfileType;
  readonly selector: readonly Matcher[];
}

/** `type{selector}`, where the type must be whole. `parameter` names it in errors. */
export function readRenderQuery(text: string | null, parameter: string, budget: RegexBudget = new RegexBudget()): RenderQuery {
  if (text === null || text.trim() === "") throw invalidArgument("QUERY_MISSING", `"${parameter}" is required: ${HOW_TO_QUERY}`);
  const { profileType, matchers } = readQuery(text, `"${parameter}" ${quote(text)}`, budget);
  if (profileType === undefined) throw invalidArgument("QUERY_INVALID", `"${parameter}" ${quote(text)} names no profile type: ${HOW_TO_QUERY}`);
  return { profileType, selector: matchers };
}

const HOW_TO_QUERY = `write it as process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name="api"}`;

/** A selector with or without a type before it, all as matchers. */
export function readSeriesQuery(text: string): Matcher[] {
  const { typeId, matchers } = readQuery(text, `query ${quote(text)}`, new RegexBudget());
  return typeId === "" ? [...matchers] : [makeMatcher(LABEL_PROFILE_TYPE, "=", typeId), ...matchers];
}

function readQuery(text: string, what: string, budget: RegexBudget): ReturnType<typeof parseQuery> {
  try {
    return parseQuery(text, budget);
  } catch (thrown) {
    throw explained(thrown, what);
  }
}

function explained(thrown: unknown, what: string): unknown {
  if (!(thrown instanceof CodedError)) return thrown;
  return new CodedError({ code: thrown.code, kind: thrown.kind, message: `${what} cannot be read: ${thrown.message}`, details: thrown.details, cause: thrown });
}

function checkIds(texts: readonly string[], digits: number, field: string): string[] {
  return bounded(texts, field).map((text) => {
    if (text.length !== digits || !/^[0-9a-fA-F]+$/.test(text)) {
      throw invalidArgument("SELECTION_ID_INVALID", `${field} has ${quote(text)}: write each id as ${digits} hex digits`);
    }
    return text.toLowerCase();
  });
}

function bounded<T>(items: readonly T[], field: string, countMax: number = ID_COUNT_MAX): readonly T[] {
  if (items.length > countMax) throw invalidArgument("SELECTION_TOO_LARGE", `${field} has ${items.length} entries: send at most ${countMax}`);
  return items;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}
