/**
 * The nodes of a trie or tree as they lie in a body, in pre-order: each before its children.
 *
 *   node:  length of name (varint) | name | value (varint) | number of children (varint)
 *
 * What must stay true: no recursion, and nothing is allocated by what a node says of its size. A number of children that the rest of the body
 * cannot hold is refused at once, three bytes being the least that a node takes.
 */
import { VarintCursor } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";

export interface BinaryNode {
  /** A view of the body. */
  readonly name: Uint8Array;
  readonly value: number | bigint;
  readonly childCount: number;
}

/** `visit` is given each node and what it returned for the node's parent; `top` for the first node, which has none. Throws a refusal. */
export function walkNodes<State>(body: Uint8Array, top: State, visit: (node: BinaryNode, ofParent: State) => State): void {
  const cursor = new VarintCursor(body);
  // Nodes whose children are not all read yet.
  const states: State[] = [top];
  const left: number[] = [1];
  while (left.length > 0) {
    const last = left.length - 1;
    const ofParent = states[last]!;
    // A parent is left before its last child is read, so that a chain of only children does not pile up.
    if (--left[last]! === 0) {
      left.pop();
      states.pop();
    }
    const node = nextNode(cursor);
    const state = visit(node, ofParent);
    if (node.childCount > 0) {
      left.push(node.childCount);
      states.push(state);
    }
  }
  if (cursor.offset < body.length) throw malformed(`${body.length - cursor.offset} bytes follow the last node: send one whole tree`);
}

function nextNode(cursor: VarintCursor): BinaryNode {
  const length = cursor.next();
  if (length < 0) throw torn(cursor);
  const start = cursor.offset;
  if (length > cursor.end - start) throw malformed(`at byte ${start} of ${cursor.end} a name of ${length} bytes begins, which goes beyond the end: send the whole body`);
  cursor.offset = start + length;
  const value = cursor.nextWide();
  if (value === -1) throw torn(cursor);
  const childCount = cursor.next();
  if (childCount < 0) throw torn(cursor);
  if (childCount * NODE_BYTES_MIN > cursor.end - cursor.offset) throw malformed(`the node before byte ${cursor.offset} of ${cursor.end} says that it has ${childCount} children, more than fit into the rest: send the whole body`);
  return { name: cursor.bytes.subarray(start, start + length), value, childCount };
}

const NODE_BYTES_MIN = 3;

function torn({ offset, end }: VarintCursor): Error {
  return malformed(`at byte ${offset} of ${end} a number ends too late or not at all: send the whole body, as format=tree or format=trie lays it out`);
}
