/** What completing the beginning of a word comes to. */
export interface Completion {
  /** To be inserted behind it; empty when nothing can be said. */
  readonly added: string;
  /** The words it could become, sorted. */
  readonly candidates: readonly string[];
}

/** Completes a word as far as all known words that begin so agree; a word that is whole gets a blank. */
export function completeWord(beginning: string, known: readonly string[]): Completion {
  if (beginning === "") return { added: "", candidates: [] };
  // `web1,web` and `all:!web` complete the part behind the sign; `user@web` the host.
  const part = /[^,:!&@=]*$/.exec(beginning)![0];
  const candidates = [...new Set(known)].filter((word) => word.startsWith(part) && word !== "").sort();
  if (part === "" || candidates.length === 0) return { added: "", candidates: [] };
  const [first] = candidates;
  if (candidates.length === 1) return { added: `${first!.slice(part.length)} `, candidates };
  let length = part.length;
  while (candidates.every((word) => word.length > length && word[length] === first![length])) length++;
  return { added: first!.slice(part.length, length), candidates };
}
