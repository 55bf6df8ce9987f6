/** Copies a text. Browsers give pages the clipboard API on https and localhost only; elsewhere `execCommand` still works. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

export function CopyButton({ text }: { readonly text: string }): JSX.Element {
  const [outcome, setOutcome] = useState<"copied" | "failed" | undefined>(undefined);
  useEffect(() => {
    if (outcome === undefined) return undefined;
    const timer = window.setTimeout(() => setOutcome(undefined), 2_000);
    return () => window.clearTimeout(timer);
  }, [outcome]);
  const onClick = (): void => {
    copy(text).then(
      () => setOutcome("copied"),
      () => setOutcome("failed"),
    );
  };
  return (
    <button type="button" class="button copy" onClick={onClick} aria-live="polite">
      {outcome === undefined ? "Copy" : outcome === "copied" ? "Copied" : "Select it by hand"}
    </button>
  );
}

async function copy(text: string): Promise<void> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // A policy of the browser refused it: `execCommand` may still be allowed.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "off-screen";
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (!isCopied) throw new Error("the browser refuses to copy");
}
