/**
 * One question to the node and its answer. What must stay true: only the newest question's answer is ever shown; asking
 * again, or leaving the page, aborts the one before. While a new answer is on its way the old one stays, so that the page
 * does not flicker.
 */
import { useEffect, useState } from "preact/hooks";

export interface Answer<T> {
  readonly isLoading: boolean;
  /** The newest answer that came; it may belong to an earlier question while `isLoading`. */
  readonly value: T | undefined;
  readonly error: Error | undefined;
}

/** `key` says what is asked: another key asks anew. Undefined: nothing is asked. */
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
