/** The query state, stored in the URL: a choice adds an entry to the history, typed text replaces the current one. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { QueryState } from "../model/query-state.ts";
import { parseQueryState, printQueryState } from "../model/query-state.ts";

export type ChangeState = (change: Partial<QueryState>, how?: "push" | "replace") => void;

export function useQueryState(): [QueryState, ChangeState] {
  const [state, setState] = useState(read);
  const latest = useRef(state); // two changes in one event must both count
  useEffect(() => {
    const onPopState = (): void => {
      latest.current = read();
      setState(latest.current);
    };
    window.addEventListener("popstate", onPopState);
    return () => window.removeEventListener("popstate", onPopState);
  }, []);
  const change = useCallback<ChangeState>((part, how = "push") => {
    latest.current = { ...latest.current, ...part };
    const text = printQueryState(latest.current);
    const url = text === "" ? window.location.pathname : `?${text}`;
    if (how === "push") window.history.pushState(null, "", url);
    else window.history.replaceState(null, "", url);
    setState(latest.current);
  }, []);
  return [state, change];
}

function read(): QueryState {
  return parseQueryState(new URLSearchParams(window.location.search));
}
