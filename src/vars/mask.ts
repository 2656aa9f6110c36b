import { isVolleyError, VolleyError } from "../core/errors.ts";
import { needlesOf } from "./mask-needles.ts";

/** The text in place of a secret. */
export const MASK = "********";

/** Masks secrets in texts. */
export interface Mask {
  /** Mask every secret in a text, and a secret cut off by the text's end if half of it or more is there. */
  text(text: string): string;
  /** Mask a text that comes in pieces. */
  stream(): MaskStream;
}

/** Masks a text that comes in pieces. The end of a piece is held back while it may be the beginning of a secret. */
export interface MaskStream {
  /** Return the text that can be shown by now. */
  push(piece: string): string;
  /** Return the text that was held back; a new text begins. */
  end(): string;
}

/** Make the mask of these secrets; null without any secret to mask, so that masking costs nothing then. */
export function createMask(secrets: Iterable<string>): Mask | null {
  const { plain, base64 } = needlesOf(secrets);
  if (plain.size === 0) return null;
  const search = searchBoth(
    searchWith(new Automaton(plain)),
    searchAcrossLines(searchWith(new Automaton(base64))),
  );
  return {
    text: (text) => {
      const runs = finalRuns(text, search(text));
      return runs.length === 0 ? text : render(text, runs, false);
    },
    stream: () => openStream(search),
  };
}

/** The fields by which programs tell events and results apart; a secret that happens to be such a word is no secret there. */
const FIXED: ReadonlySet<string> = new Set([
  "type",
  "host",
  "hosts",
  "play",
  "plays",
  "role",
  "action",
  "stream",
  "level",
  "outcome",
  "state",
  "code",
  "run",
  "playbook",
  "bundle",
  "node",
  "how",
  "address",
  "user",
  "tally",
  "phases",
]);
/** The fields whose content the task makes. */
const FREE: ReadonlySet<string> = new Set(["data", "attributes", "facts"]);
const SHORTEST_NUMBER = 6;

/** Mask every secret in an event or a part of one; {@link FIXED} fields stay. In {@link FREE} ones, keys and long numbers are masked too. */
export function maskEvent<E extends object>(mask: Mask, event: E): E {
  return walk(mask, event, true) as E;
}

function walk(mask: Mask, value: unknown, structured: boolean): unknown {
  if (typeof value === "string") return mask.text(value);
  if (typeof value === "number" || typeof value === "bigint") {
    if (structured) return value;
    const digits = String(value);
    const masked = digits.length < SHORTEST_NUMBER ? digits : mask.text(digits);
    return masked === digits ? value : masked;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => walk(mask, item, structured));
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === "function") return walk(mask, toJSON.call(value), structured);
  const masked: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (structured && FIXED.has(key)) masked[key] = inner;
    else masked[structured ? key : mask.text(key)] = walk(mask, inner, structured && !FREE.has(key));
  }
  return masked;
}

/** Mask every secret in the texts of an error. Its cause, which may hold secrets too, is left out. */
export function maskError(mask: Mask, thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return typeof thrown === "string" ? mask.text(thrown) : thrown;
  const { message, stack } = thrown;
  const hint = isVolleyError(thrown) ? thrown.hint : undefined;
  const texts = [message, stack ?? "", hint ?? ""];
  if (thrown.cause === undefined && texts.every((text) => mask.text(text) === text)) return thrown;
  const masked = isVolleyError(thrown)
    ? new VolleyError(thrown.code, mask.text(message), {
        ...(thrown.location === undefined ? {} : { location: thrown.location }),
        ...(hint === undefined ? {} : { hint: mask.text(hint) }),
      })
    : Object.assign(new Error(mask.text(message)), { name: thrown.name });
  if (stack !== undefined) masked.stack = mask.text(stack);
  return masked;
}

/** Stretches to mask, as begin and end in turn: sorted, none touching another. */
type Runs = number[];

const NOT_FEWER_THAN = 4;

/** An Aho-Corasick automaton: one pass over a text finds every needle, overlapping ones included. */
class Automaton {
  /** The next node for a node and a character, under `node * 65536 + character`. */
  readonly #edges = new Map<number, number>();
  /** A bit for each pair of lower bytes that a needle begins with, to skip most of a text. */
  readonly #begins = new Uint32Array(2_048);
  readonly #depth: number[] = [0];
  /** The node of the longest proper ending of a node's text that is a beginning of a needle. */
  readonly #fail: number[] = [0];
  /** The length of the longest needle that ends at a node; 0 for none. */
  readonly #ends: number[] = [0];
  /** The length of the shortest needle that goes on from a node. */
  readonly #shortest: number[] = [0];

  constructor(needles: Iterable<string>) {
    for (const needle of needles) this.#insert(needle);
    this.#link();
  }

  #insert(needle: string): void {
    let node = 0;
    for (let at = 0; at < needle.length; at++) {
      const key = node * 65_536 + needle.charCodeAt(at);
      let next = this.#edges.get(key);
      if (next === undefined) {
        next = this.#depth.length;
        this.#edges.set(key, next);
        this.#depth.push(at + 1);
        this.#fail.push(0);
        this.#ends.push(0);
        this.#shortest.push(needle.length);
      }
      this.#shortest[next] = Math.min(this.#shortest[next]!, needle.length);
      node = next;
    }
    this.#ends[node] = needle.length;
    const pair = pairOf(needle, 0);
    this.#begins[pair >> 5]! |= 1 << (pair & 31);
  }

  #link(): void {
    // In the order of depth, the shorter texts that a link needs have their links already.
    const byDepth = [...this.#edges].sort(([, a], [, b]) => this.#depth[a]! - this.#depth[b]!);
    for (const [key, node] of byDepth) {
      const from = Math.floor(key / 65_536);
      if (from !== 0) this.#fail[node] = this.#step(this.#fail[from]!, key % 65_536);
      this.#ends[node] ||= this.#ends[this.#fail[node]!]!;
    }
  }

  #step(from: number, character: number): number {
    for (let node = from; ; node = this.#fail[node]!) {
      const next = this.#edges.get(node * 65_536 + character);
      if (next !== undefined) return next;
      if (node === 0) return 0;
    }
  }

  /** Add the needles in a text to `runs`; return the node at the end of the text. */
  scan(text: string, runs: Runs): number {
    let node = 0;
    for (let at = 0; at < text.length; at++) {
      if (node === 0 && at + 1 < text.length) {
        const pair = pairOf(text, at);
        if ((this.#begins[pair >> 5]! & (1 << (pair & 31))) === 0) continue;
      }
      node = this.#step(node, text.charCodeAt(at));
      if (this.#ends[node] !== 0) addRun(runs, at + 1 - this.#ends[node]!, at + 1, 0);
    }
    return node;
  }

  /** Count the characters before a node that may be the beginning of a needle. */
  pending(node: number): number {
    return this.#depth[node]!;
  }

  /** Count them for beginnings that give away half of a needle or more. */
  tellingEnd(last: number): number {
    for (let node = last; node !== 0; node = this.#fail[node]!) {
      const depth = this.#depth[node]!;
      if (depth >= NOT_FEWER_THAN && depth * 2 >= this.#shortest[node]!) return depth;
    }
    return 0;
  }
}

function pairOf(text: string, at: number): number {
  return ((text.charCodeAt(at) & 255) << 8) | (text.charCodeAt(at + 1) & 255);
}

/** Add a stretch that ends after every earlier one begins; join it with those that it overlaps by more than `gap`. */
function addRun(runs: Runs, start: number, end: number, gap: 0 | -1): void {
  let [begin, stop] = [start, end];
  while (runs.length > 0 && runs.at(-1)! - begin > gap) {
    stop = Math.max(stop, runs.pop()!);
    begin = Math.min(begin, runs.pop()!);
  }
  runs.push(begin, stop);
}

/** Merge the runs of two searches; touching runs become one. */
function joinRuns(one: Runs, other: Runs): Runs {
  if (one.length + other.length === 0) return one;
  const joined: Runs = [];
  for (let a = 0, b = 0; a < one.length || b < other.length; ) {
    const takeOne = b >= other.length || (a < one.length && one[a]! <= other[b]!);
    const [from, at] = takeOne ? [one, a] : [other, b];
    addRun(joined, from[at]!, from[at + 1]!, -1);
    if (takeOne) a += 2;
    else b += 2;
  }
  return joined;
}

/** The result of searching a text. */
interface Found {
  readonly runs: Runs;
  /** The index from which the text may be the beginning of a secret; the text's length if it cannot. */
  readonly pending: number;
  /** The same for a beginning that gives away half of the secret or more. */
  readonly telling: number;
}

type Search = (text: string) => Found;

function searchWith(automaton: Automaton): Search {
  return (text) => {
    const runs: Runs = [];
    const last = automaton.scan(text, runs);
    return {
      runs,
      pending: text.length - automaton.pending(last),
      telling: text.length - automaton.tellingEnd(last),
    };
  };
}

/** Search a text as if it were one line; the runs are places in the text itself. */
function searchAcrossLines(search: Search): Search {
  return (text) => {
    if (!/[\r\n]/.test(text)) return search(text);
    const joined = text.replace(/[\r\n]+/g, "");
    const { runs, pending, telling } = search(joined);
    if (runs.length === 0 && pending === joined.length && telling === joined.length)
      return { runs, pending: text.length, telling: text.length };
    const places: number[] = [];
    for (let at = 0; at < text.length; at++) if (!/[\r\n]/.test(text[at]!)) places.push(at);
    const place = (at: number): number => places[at] ?? text.length;
    return {
      runs: runs.map((at, index) => (index % 2 === 0 ? place(at) : place(at - 1) + 1)),
      pending: place(pending),
      telling: place(telling),
    };
  };
}

function searchBoth(one: Search, other: Search): Search {
  return (text) => {
    const [a, b] = [one(text), other(text)];
    return {
      runs: joinRuns(a.runs, b.runs),
      pending: Math.min(a.pending, b.pending),
      telling: Math.min(a.telling, b.telling),
    };
  };
}

/** Mask the runs of a text. `open`: a run at its very start continues one whose mask was shown already. */
function render(text: string, runs: Runs, open: boolean): string {
  let shown = "";
  let from = 0;
  for (let at = 0; at < runs.length; at += 2) {
    shown += text.slice(from, runs[at]);
    if (!(open && runs[at] === 0)) shown += MASK;
    from = runs[at + 1]!;
  }
  return shown + text.slice(from);
}

/** Return the runs of a text that ends here. */
function finalRuns(text: string, { runs, telling }: Found): Runs {
  return telling < text.length ? joinRuns(runs, [telling, text.length]) : runs;
}

function openStream(search: Search): MaskStream {
  let held = "";
  /** The length of the held text that certainly belongs to a secret. */
  let marked = 0;
  /** True after a mask was shown last. */
  let open = false;
  return {
    push: (piece) => {
      if (piece === "") return "";
      const text = held + piece;
      const found = search(text);
      const runs = marked > 0 ? joinRuns([0, marked], found.runs) : found.runs;
      const cut = found.pending;
      held = text.slice(cut);
      if (cut === 0) return "";
      const ready: Runs = [];
      let last = 0;
      for (let at = 0; at < runs.length && runs[at]! < cut; at += 2) {
        last = runs[at + 1]!;
        ready.push(runs[at]!, Math.min(last, cut));
      }
      const shown = render(text.slice(0, cut), ready, open);
      open = last >= cut;
      marked = Math.max(0, last - cut);
      return shown;
    },
    end: () => {
      const runs = finalRuns(held, search(held));
      const shown = render(held, marked > 0 ? joinRuns([0, marked], runs) : runs, open);
      held = "";
      marked = 0;
      open = false;
      return shown;
    },
  };
}
