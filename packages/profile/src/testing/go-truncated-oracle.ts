/**
 * What mending does to Go's cut stacktraces, told the slow and plain way (fix-go-truncated.ts does it on a tree). For tests.
 * Stacktraces are lists of location ids from the root.
 */

/** Which locations come before each stacktrace's root. `types` and `filenames` say whether the profile is one to mend. */
export function goPrefixes(stacks: readonly (readonly string[])[], types: readonly string[]): string[][] {
  const isAllocation = types.some((type) => ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"].includes(type));
  const deepest = stacks.reduce((depth, stack) => Math.max(depth, stack.length), 0);
  const isDeep = isAllocation ? deepest >= 28 && deepest <= 32 : types.includes("cpu") && deepest >= 60;
  return isDeep ? prefixesOf(stacks) : stacks.map(() => []);
}

interface Link {
  readonly to: string;
  readonly frames: readonly string[];
}

function prefixesOf(stacks: readonly (readonly string[])[]): string[][] {
  const groups = new Map<string, readonly string[]>();
  for (const stack of stacks) if (stack.length >= 24) groups.set(keyOf(stack, 0, 24), stack.slice(0, 24));
  // Where the frames that some group begins with lie deepest.
  const deepest = new Map<string, Link>();
  for (let shift = 8; shift >= 1; shift--) {
    for (const [to, path] of groups) {
      const start = keyOf(path, shift, shift + 16);
      if (!deepest.has(start)) deepest.set(start, { to, frames: path.slice(0, shift) });
    }
  }
  const linkOf = (group: string): Link | undefined => {
    const link = deepest.get(keyOf(groups.get(group)!, 0, 16));
    return link === undefined || link.to === group ? undefined : link;
  };
  return stacks.map((stack) => {
    if (stack.length < 24) return [];
    const prefix: string[] = [];
    let steps = 0;
    for (let link = linkOf(keyOf(stack, 0, 24)); link !== undefined; link = linkOf(link.to)) {
      if (++steps > 56) return [];
      prefix.unshift(...link.frames);
    }
    return prefix;
  });
}

function keyOf(stack: readonly string[], from: number, to: number): string {
  return stack.slice(from, to).join(" ");
}
