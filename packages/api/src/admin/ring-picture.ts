/** The ring as a picture: the outer circle shows the owner of each slice, the inner one its zone. */
import { escapeHtml } from "./html.ts";

export interface RingPicture {
  /** Of each equal slice: the index of its owner in `members`; -1: nobody. */
  readonly slices: readonly number[];
  readonly members: readonly { readonly name: string; readonly zone: string; readonly share: number }[];
}

const SIZE = 360;
const OUTER = { from: 128, to: 172 };
const INNER = { from: 108, to: 122 };

/** SVG with no style and no script: colours are attributes, and names are its tooltips. */
export function ringSvg({ slices, members }: RingPicture): string {
  const zones = [...new Set(members.map(({ zone }) => zone))].sort();
  const owners = runsOf(slices).map(({ value, start, end }) => {
    const member = members[value];
    return member === undefined ? "" : arc(OUTER, start / slices.length, end / slices.length, memberColor(value), `${member.name}: ${percent(member.share)} of the ring`);
  });
  const zoneArcs =
    zones.length < 2
      ? []
      : runsOf(slices.map((owner) => (members[owner] === undefined ? -1 : zones.indexOf(members[owner].zone)))).map(({ value, start, end }) =>
          value === -1 ? "" : arc(INNER, start / slices.length, end / slices.length, `hsl(${Math.round((value * 360) / zones.length)} 25% 55%)`, zones[value] === "" ? "no zone" : `zone ${zones[value]}`),
        );
  const middle = `<text x="${SIZE / 2}" y="${SIZE / 2}" text-anchor="middle" dominant-baseline="middle" font-size="15" fill="currentColor">${members.length} ${members.length === 1 ? "member" : "members"}</text>`;
  return `<svg role="img" aria-label="the ring" width="${SIZE}" height="${SIZE}" viewBox="0 0 ${SIZE} ${SIZE}">${owners.join("")}${zoneArcs.join("")}${middle}</svg>`;
}

/** Neighbours in the list of members get colours far apart. */
export function memberColor(index: number): string {
  return `hsl(${Math.round((index * 137.508) % 360)} 60% 50%)`;
}

/** A square of the member's colour, for tables. */
export function colorMark(index: number): string {
  return `<svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" fill="${memberColor(index)}"/></svg>`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

interface ValueRun {
  readonly value: number;
  readonly start: number;
  readonly end: number;
}

/** Equal neighbours as one. */
function runsOf(values: readonly number[]): ValueRun[] {
  const runs: ValueRun[] = [];
  let start = 0;
  for (let at = 1; at <= values.length; at++) {
    if (at < values.length && values[at] === values[start]) continue;
    runs.push({ value: values[start]!, start, end: at });
    start = at;
  }
  return runs;
}

/** `start` and `end`: parts of the circle, from the top, clockwise. */
function arc({ from, to }: { readonly from: number; readonly to: number }, start: number, end: number, color: string, title: string): string {
  // A whole circle would begin where it ends, and be drawn as nothing.
  const last = Math.min(end, start + 0.9999);
  const large = last - start > 0.5 ? 1 : 0;
  const path = `M${point(to, start)}A${to} ${to} 0 ${large} 1 ${point(to, last)}L${point(from, last)}A${from} ${from} 0 ${large} 0 ${point(from, start)}Z`;
  return `<path d="${path}" fill="${color}"><title>${escapeHtml(title)}</title></path>`;
}

function point(radius: number, part: number): string {
  const angle = part * 2 * Math.PI;
  return `${(SIZE / 2 + radius * Math.sin(angle)).toFixed(2)} ${(SIZE / 2 - radius * Math.cos(angle)).toFixed(2)}`;
}
