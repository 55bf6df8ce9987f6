/**
 * One query and its answer. What must stay true: only the answer of the newest query is shown; a new query, or leaving the page, aborts
 * the one before. The old answer stays until the new one comes, so that the page does not flicker.
 */
import { useEffect, useState } from "preact/hooks";

export interface Answer<T> {
  readonly isLoading: boolean;
  /** The newest answer. While `isLoading` it may belong to an earlier query. */
  readonly value: T | undefined;
  readonly error: Error | undefined;
}

/** `key` identifies the query: a new key starts a new one. Undefined: no query. */
export function useAnswer<T>(key: string | undefined, load: (signal: AbortSignal) => Promise<T>): Answer<T> {
  const [state, setState] = useState<{ readonly key: string | undefined; readonly value: T | undefined; readonly error: Error | undefined }>({
    key: undefined,
    value: undefined,
    error: undefined,
  });
  useEffect(() => {
    if (key === undefined) {
      setState({ key, value: undefined, error: undefined });
      return undefined;
    }
    const controller = new AbortController();
    load(controller.signal).then(
      (value) => {
        if (!controller.signal.aborted) setState({ key, value, error: undefined });
      },
      (error: unknown) => {
        if (!controller.signal.aborted) setState({ key, value: undefined, error: error instanceof Error ? error : new Error(String(error)) });
      },
    );
    return () => controller.abort();
  }, [key]);
  return { isLoading: key !== undefined && state.key !== key, value: state.value, error: state.error };
}
