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

/** The text of an authorized_keys file once edited: comments and lines that are no keys stay where they are. */
export function editAuthorizedKeys(text: string, { keys, present, exclusive }: KeyEdit): string {
  const wanted = new Map(keys.map((key) => [key.blob, key]));
  const written = new Set<string>();
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  const edited = lines.flatMap((line) => {
    const key = parseAuthorizedKey(line);
    if (key === null) return [line];
    const want = wanted.get(key.blob);
    if (want === undefined) return present && exclusive ? [] : [line];
    if (!present || written.has(key.blob)) return [];
    written.add(key.blob);
    return sameKey(key, want)
      ? [line]
      : [formatAuthorizedKey({ ...want, comment: want.comment || key.comment })];
  });
  const added = present ? keys.filter(({ blob }) => !written.has(blob)).map(formatAuthorizedKey) : [];
  const all = [...edited, ...new Set(added)];
  // Only a change of lines is a change: a missing newline at the end is none.
  if (all.length === lines.length && all.every((line, index) => line === lines[index])) return text;
  return all.map((line) => `${line}\n`).join("");
}
