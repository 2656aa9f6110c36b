/** One line of an authorized_keys file (sshd(8)) that holds a key. */
export interface AuthorizedKey {
  /** Before the key, such as `no-pty,from="10.0.0.1"`; empty when there are none. */
  readonly options: string;
  readonly type: string;
  /** The key itself, in base64: what makes two lines the same key. */
  readonly blob: string;
  readonly comment: string;
}

const TYPE = "(?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+";
const WITHOUT_OPTIONS = new RegExp(`^(${TYPE})\\s+([A-Za-z0-9+/=]+)(?:\\s+(.*))?$`);
// Options end at the first space that is not within double quotes.
const OPTIONS = /^((?:"(?:\\"|[^"])*"|[^\s"])+)\s+(.*)$/;

/** Reads one line; null for an empty one, a comment, or what is no key. */
export function parseAuthorizedKey(line: string): AuthorizedKey | null {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return null;
  const plain = WITHOUT_OPTIONS.exec(text);
  if (plain !== null) return { options: "", type: plain[1]!, blob: plain[2]!, comment: plain[3] ?? "" };
  const [, options = "", rest = ""] = OPTIONS.exec(text) ?? [];
  const keyed = WITHOUT_OPTIONS.exec(rest);
  return keyed === null ? null : { options, type: keyed[1]!, blob: keyed[2]!, comment: keyed[3] ?? "" };
}

/** A key as a line, without line ending. */
export function formatAuthorizedKey({ options, type, blob, comment }: AuthorizedKey): string {
  return [options, type, blob, comment].filter((part) => part !== "").join(" ");
}

/** What should become of an authorized_keys file. */
export interface KeyEdit {
  readonly keys: readonly AuthorizedKey[];
  readonly present: boolean;
  /** Removes every other key. */
  readonly exclusive: boolean;
}

function sameKey(a: AuthorizedKey, b: AuthorizedKey): boolean {
  // A key given without a comment leaves the one it has.
  return a.options === b.options && a.type === b.type && (b.comment === "" || a.comment === b.comment);
}

/**
 * The text of an authorized_keys file once edited: comments and lines that are no keys stay where they are. A key that is
 * wanted with several options has a line for each.
 */
export function editAuthorizedKeys(text: string, { keys, present, exclusive }: KeyEdit): string {
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  const found = lines.map(parseAuthorizedKey);
  const named = new Set(keys.map(({ blob }) => blob));
  // Of those given twice with the same options the last counts.
  const open = new Map(present ? keys.map((key) => [`${key.options}\n${key.blob}`, key] as const) : []);
  const put = new Map<number, string>();
  const take = (index: number, key: AuthorizedKey, fits: (want: AuthorizedKey) => boolean): void => {
    const taken = [...open].find(([, want]) => want.blob === key.blob && fits(want));
    if (taken === undefined || put.has(index)) return;
    const [id, want] = taken;
    open.delete(id);
    const comment = want.comment || key.comment;
    put.set(index, sameKey(key, want) ? lines[index]! : formatAuthorizedKey({ ...want, comment }));
  };
  // First what is as it should be, so that each line is kept that can be.
  for (const fits of [sameKey, hasOptions, () => true])
    for (const [index, key] of found.entries()) if (key !== null) take(index, key, (want) => fits(key, want));
  const all = [
    ...lines.flatMap((line, index) => {
      const key = found[index];
      if (key == null || put.has(index)) return [put.get(index) ?? line];
      return named.has(key.blob) || (present && exclusive) ? [] : [line];
    }),
    ...[...open.values()].map(formatAuthorizedKey),
  ];
  // Only a change of lines is a change: a missing newline at the end is none.
  if (all.length === lines.length && all.every((line, index) => line === lines[index])) return text;
  return all.map((line) => `${line}\n`).join("");
}

function hasOptions(a: AuthorizedKey, b: AuthorizedKey): boolean {
  return a.options === b.options;
}

const OPTION = /(?:[^\s",]|"(?:\\"|[^"\n])*")+/;
const OPTION_LIST = new RegExp(`^\\s*${OPTION.source}(?:\\s*,\\s*${OPTION.source})*\\s*$`);

/** Options as sshd reads them: without blanks beside the commas; null for what are no options. */
export function normalizeKeyOptions(options: string): string | null {
  if (/[\n\r]/.test(options) || !OPTION_LIST.test(options)) return null;
  return options.match(new RegExp(OPTION, "g"))!.join(",");
}
