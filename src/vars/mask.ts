import { isVolleyError, VolleyError } from "../core/errors.ts";
import { MIN_SECRET_LENGTH, needlesOf } from "./mask-needles.ts";

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
  const automata = [new Automaton(plain, false), new Automaton(base64, true)];
  const stream = (): MaskStream => openStream(automata);
  return {
    text: (text) => {
      const whole = stream();
      return whole.push(text) + whole.end();
    },
    stream,
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

/** Characters to read one by one after a place that looked like a needle: searching anew costs as much as reading ten. */
const READ_ON = 16;

/** A needle in base64 with more line breaks at one place is not found: waiting for its rest would hold back blank lines without end. */
const MOST_BREAKS = 1_000;

/** The search of a text that comes in pieces. */
interface Search {
  readonly automaton: Automaton;
  node: number;
  runs: Runs;
  /** The line breaks behind the last character. */
  breaks: number;
  /** The index behind the last line break that was left out. */
  broken: number;
}

/** An Aho-Corasick automaton: one pass over a text finds every needle, overlapping ones included. */
class Automaton {
  /** The next node for a node and a character, under `node * 65536 + character`. */
  readonly #edges = new Map<number, number>();
  /** Finds the places where a needle may begin, to skip most of a text. */
  readonly #begins: RegExp;
  readonly #acrossLines: boolean;
  readonly #depth: number[] = [0];
  /** The node of the longest proper ending of a node's text that is a beginning of a needle. */
  readonly #fail: number[] = [0];
  /** The length of the longest needle that ends at a node; 0 for none. */
  readonly #ends: number[] = [0];
  /** The length of the shortest needle that goes on from a node. */
  readonly #shortest: number[] = [0];

  /** `acrossLines`: search a text as if it were one line. */
  constructor(needles: ReadonlySet<string>, acrossLines: boolean) {
    for (const needle of needles) this.#insert(needle);
    this.#link();
    this.#acrossLines = acrossLines;
    let begins = "";
    for (let at = 0; at < MIN_SECRET_LENGTH; at++) {
      let any = "";
      for (const needle of needles)
        any += acrossLines && at > 0 ? `${needle.slice(1, MIN_SECRET_LENGTH)}\r\n` : needle[at];
      begins += `[${[...new Set(any.split(""))].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}]`;
    }
    this.#begins = new RegExp(begins, "g");
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

  /** Search a text from an index on, where the search got to before. */
  scan(text: string, from: number, search: Search): void {
    const { runs } = search;
    let { node } = search;
    let readTo = 0;
    for (let at = from; at < text.length; at++) {
      if (node === 0 && at >= readTo) {
        this.#begins.lastIndex = at;
        const isFound = this.#begins.test(text);
        // The last characters may be the beginning of a needle, too.
        at = isFound
          ? this.#begins.lastIndex - MIN_SECRET_LENGTH
          : Math.max(at, text.length - MIN_SECRET_LENGTH + 1);
        readTo = at + READ_ON;
      }
      const character = text.charCodeAt(at);
      if (this.#acrossLines && (character === 10 || character === 13)) {
        search.broken = at + 1;
        if (++search.breaks > MOST_BREAKS) node = 0;
        continue;
      }
      search.breaks = 0;
      node = this.#step(node, character);
      const length = this.#ends[node]!;
      if (length !== 0) addRun(runs, startOf(text, at + 1, length, search), at + 1);
    }
    search.node = node;
  }

  /** Return the index from which a searched text may be the beginning of a needle; the text's length if it cannot. */
  pending(text: string, search: Search): number {
    return startOf(text, text.length, this.#depth[search.node]!, search);
  }

  /** Return the same for beginnings that give away half of a needle or more. */
  telling(text: string, search: Search): number {
    for (let { node } = search; node !== 0; node = this.#fail[node]!) {
      const depth = this.#depth[node]!;
      if (depth >= NOT_FEWER_THAN && depth * 2 >= this.#shortest[node]!)
        return startOf(text, text.length, depth, search);
    }
    return text.length;
  }
}

/** Return the index of the first of the last `count` characters before `end`, without the line breaks that were left out. */
function startOf(text: string, end: number, count: number, { broken }: Search): number {
  let at = end;
  for (let left = count; left > 0; ) {
    if (broken <= at - left) return at - left;
    at--;
    if (!"\r\n".includes(text[at]!)) left--;
  }
  return at;
}

/** Add a stretch that ends after every earlier one begins; join it with those that it touches. */
function addRun(runs: Runs, start: number, end: number): void {
  let [begin, stop] = [start, end];
  while (runs.length > 0 && runs.at(-1)! >= begin) {
    stop = Math.max(stop, runs.pop()!);
    begin = Math.min(begin, runs.pop()!);
  }
  runs.push(begin, stop);
}

/** Merge the runs of two searches; touching runs become one. */
function joinRuns(one: Runs, other: Runs): Runs {
  const joined: Runs = [];
  for (let a = 0, b = 0; a < one.length || b < other.length; ) {
    const takeOne = b >= other.length || (a < one.length && one[a]! <= other[b]!);
    const [from, at] = takeOne ? [one, a] : [other, b];
    addRun(joined, from[at]!, from[at + 1]!);
    if (takeOne) a += 2;
    else b += 2;
  }
  return joined;
}

function openStream(automata: readonly Automaton[]): MaskStream {
  const begin = (): Search[] =>
    automata.map((automaton) => ({ automaton, node: 0, runs: [], breaks: 0, broken: 0 }));
  let searches = begin();
  let held = "";
  /** True after a mask was shown last. */
  let open = false;
  const take = (piece: string, isEnd: boolean): string => {
    const text = held + piece;
    for (const search of searches) search.automaton.scan(text, held.length, search);
    const runs = joinRuns(searches[0]!.runs, searches[1]!.runs);
    const [pending, telling] = (["pending", "telling"] as const).map((of) =>
      Math.min(...searches.map((search) => search.automaton[of](text, search))),
    ) as [number, number];
    const cut = isEnd ? text.length : pending;
    if (isEnd && telling < cut) addRun(runs, telling, cut);
    held = text.slice(cut);
    if (cut === 0) return "";
    let shown = "";
    let from = 0;
    for (let at = 0; at < runs.length && runs[at]! < cut; at += 2) {
      shown += text.slice(from, runs[at]);
      // A run at the very start continues one whose mask was shown already.
      if (!open || runs[at] !== 0) shown += MASK;
      from = runs[at + 1]!;
    }
    open = from >= cut;
    for (const search of searches) {
      search.broken -= cut;
      search.runs = search.runs.flatMap((at, index, all) =>
        all[index | 1]! > cut ? Math.max(0, at - cut) : [],
      );
    }
    return shown + text.slice(from, cut);
  };
  return {
    push: (piece) => take(piece, false),
    end: () => {
      const shown = take("", true);
      searches = begin();
      open = false;
      return shown;
    },
  };
}
