/**
 * Queries again every 5 seconds while there is nothing to show, unless the page is hidden. It stops after an hour, so that a forgotten
 * tab does not query forever; `again` restarts it.
 */
import { useEffect, useState } from "preact/hooks";

const LOOK_EVERY_MS = 5_000;
const LOOK_COUNT_MAX = 720;

export function useWatch(look: () => void): { readonly isWatching: boolean; readonly again: () => void } {
  const [lookCount, setLookCount] = useState(0);
  const isWatching = lookCount < LOOK_COUNT_MAX;
  useEffect(() => {
    if (!isWatching) return undefined;
    const timer = window.setTimeout(() => {
      if (!document.hidden) look();
      setLookCount(lookCount + 1);
    }, LOOK_EVERY_MS);
    return () => window.clearTimeout(timer);
  }, [lookCount, isWatching]);
  const again = (): void => {
    setLookCount(0);
    look();
  };
  return { isWatching, again };
}
