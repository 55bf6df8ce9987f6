/**
 * The colour of a box. Functions of one package share a colour, so that libraries show as areas. The colour depends on the package's name
 * alone, so it is the same on every page. Text has a contrast of at least 4.5 on every fill (tested).
 */

export interface FramePalette {
  readonly fills: readonly string[];
  readonly text: string;
  /** The fill of boxes that do not match a search. */
  readonly quietFill: string;
  readonly quietText: string;
  /** The fill of `total` and `other`, which are no functions. */
  readonly neutralFill: string;
  readonly outline: string;
  readonly background: string;
}

// Degrees on the colour wheel. Warm ones are first and closer together, so that the whole graph looks warm.
const HUES = [14, 28, 42, 52, 72, 100, 150, 178, 202, 224, 262, 338] as const;

export const LIGHT_PALETTE: FramePalette = {
  fills: HUES.map((hue) => hslToHex(hue, hue > 60 ? 0.42 : 0.74, hue > 60 ? 0.8 : 0.79)),
  text: "#1b2430",
  quietFill: "#eceef2",
  quietText: "#5a6472",
  neutralFill: "#d9dee6",
  outline: "#1b2430",
  background: "#ffffff",
};

export const DARK_PALETTE: FramePalette = {
  fills: HUES.map((hue) => hslToHex(hue, hue > 60 ? 0.26 : 0.42, 0.33)),
  text: "#f1f3f6",
  quietFill: "#242a33",
  quietText: "#9aa4b2",
  neutralFill: "#39424f",
  outline: "#f1f3f6",
  background: "#171b21",
};

export function fillOf(palette: FramePalette, name: string): string {
  if (name === "total" || name === "other") return palette.neutralFill;
  return palette.fills[hashText(packageOf(name)) % palette.fills.length]!;
}

/**
 * The package of a function, as far as its name tells: `runtime` of `runtime.(*mheap).alloc`, `java.util` of `java.util.HashMap.get`,
 * `github.com/acme/shop` of `github.com/acme/shop.Add`, `tokio` of `tokio::task::poll`.
 */
export function packageOf(name: string): string {
  const bare = name.replace(/^[([<{*&]+/, "");
  const module = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/:]+)/.exec(bare)?.[1];
  if (module !== undefined) return module;
  if (bare.startsWith("node:")) return "node";
  const colons = bare.indexOf("::");
  if (colons > 0) return bare.slice(0, colons);
  const space = bare.indexOf(" "); // Python sends `folder/file.py function`
  if (space > 0 && /\.\w+$/.test(bare.slice(0, space))) return bare.slice(0, space);
  const stop = bare.search(/[\s([<]/);
  const head = stop === -1 ? bare : bare.slice(0, stop);
  const slash = head.lastIndexOf("/");
  const parts = head.slice(slash + 1).split(".");
  if (slash !== -1) {
    const isFolder = parts.length === 1 || /^[A-Z]/.test(parts[0]!); // `java/util/HashMap.get`: the class is no part of the package
    return isFolder ? head.slice(0, slash) : head.slice(0, slash + 1) + parts[0]!;
  }
  // In Java packages are in lower case and a class follows. In other languages the package ends at the first dot.
  const classAt = parts.findIndex((part) => !/^[a-z0-9_]+$/.test(part));
  const isClass = classAt > 1 && classAt < parts.length - 1 && /^[A-Z]/.test(parts[classAt]!);
  return isClass ? parts.slice(0, classAt).join(".") : parts[0]!;
}

/** FNV-1a over UTF-16 units: short, well distributed, and the same on every machine. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function hslToHex(hueDegrees: number, saturation: number, lightness: number): string {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number): string => {
    const turn = (offset + hueDegrees / 30) % 12;
    const level = lightness - reach * Math.max(-1, Math.min(turn - 3, 9 - turn, 1));
    return Math.round(level * 255).toString(16).padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}
