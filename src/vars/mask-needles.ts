/** The shortest text to mask, in characters: shorter ones would hide half of all output. */
export const MIN_SECRET_LENGTH = 4;

/** A secret of more characters is a file: only the encodings common for files are looked for. */
const LONG_SECRET = 512;

/** Return a text with one character for each byte, as `btoa` takes it. */
function byteText(text: string): string {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

/** Encode bytes that follow `before` unknown ones; return the characters that depend on no unknown byte. */
function base64Core(bytes: string, before: number): string {
  const bits = before * 8;
  return btoa("\0".repeat(before) + bytes).slice(
    Math.ceil(bits / 6),
    Math.floor((bits + bytes.length * 8) / 6),
  );
}

function base64Forms(text: string): readonly string[] {
  const bytes = byteText(text);
  // The last form is that of `echo secret | base64`.
  const forms = [btoa(bytes), ...[0, 1, 2].map((before) => base64Core(bytes, before)), btoa(`${bytes}\n`)];
  return forms.flatMap((form) => [
    form,
    form.replaceAll("+", "-").replaceAll("/", "_"),
    form.replace(/=+$/, ""),
  ]);
}

function urlForms(text: string): readonly string[] {
  const encoded: string[] = [];
  try {
    const component = encodeURIComponent(text);
    const strict = component.replace(
      /[!'()*]/g,
      (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
    );
    encoded.push(
      component,
      strict,
      encodeURI(text),
      strict.replaceAll("%2F", "/"),
      strict.replaceAll("%20", "+").replaceAll("~", "%7E"),
      component.replaceAll("%20", "+"),
    );
  } catch {
    // Half a surrogate pair has no URL form.
  }
  return encoded.flatMap((form) => [form, form.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())]);
}

function jsonForms(text: string): readonly string[] {
  const escaped = JSON.stringify(text).slice(1, -1);
  const ascii = escaped.replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return [escaped, ascii, escaped.replaceAll("/", "\\/"), JSON.stringify(escaped).slice(1, -1)];
}

function shellForms(text: string): readonly string[] {
  const quoted = (word: string): string => word.replaceAll("'", "'\\''");
  return [
    quoted(text),
    // In an argument of a command that is quoted in turn.
    quoted(quoted(text)),
    text.replaceAll("'", `'"'"'`),
    text.replace(/["\\$`]/g, "\\$&"),
    text.replace(/["\\$`!]/g, "\\$&"),
    // bash's printf %q and $'…'; the notations of Python and JavaScript.
    text.replace(/[^\w@%+=:,./\n-]/g, "\\$&"),
    text.replace(/[\\']/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t"),
  ];
}

function markupForms(text: string): readonly string[] {
  const basic = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const quoted = basic.replaceAll('"', "&quot;");
  return [
    basic,
    quoted,
    quoted.replaceAll("'", "&#39;"),
    quoted.replaceAll("'", "&#x27;"),
    basic.replaceAll('"', "&#34;").replaceAll("'", "&#39;"),
  ];
}

function hexForms(text: string): readonly string[] {
  const hex = Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
  return [hex, hex.toUpperCase()];
}

/** The texts that reveal secrets; none is shorter than {@link MIN_SECRET_LENGTH}. */
export interface Needles {
  readonly plain: ReadonlySet<string>;
  /** Texts in base64, which may be broken into lines anywhere. */
  readonly base64: ReadonlySet<string>;
}

/**
 * Return every text that reveals secrets: each secret and each of its lines, as they are and as they look in base64 at
 * any alignment, in URLs, JSON, shell and markup quoting, and hex. A long secret's lines are not looked for in base64
 * and hex.
 */
export function needlesOf(secrets: Iterable<string>): Needles {
  const plain = new Set<string>();
  const base64 = new Set<string>();
  const add = (text: string, isPart: boolean): void => {
    if (text.trim().length < MIN_SECRET_LENGTH) return;
    const keep = (needles: Set<string>, forms: readonly string[]): void => {
      for (const form of forms) if (form.length >= MIN_SECRET_LENGTH) needles.add(form);
    };
    keep(plain, [text, ...jsonForms(text), ...urlForms(text), ...shellForms(text)]);
    if (!isPart) keep(base64, base64Forms(text));
    if (!isPart && text.length <= LONG_SECRET) keep(plain, [...markupForms(text), ...hexForms(text)]);
  };
  for (const secret of secrets) {
    add(secret, false);
    add(secret.trim(), false);
    if (!/[\r\n]/.test(secret)) continue;
    for (const line of secret.split(/\r\n|\r|\n/)) {
      add(line, secret.length > LONG_SECRET);
      add(line.trim(), secret.length > LONG_SECRET);
    }
  }
  return { plain, base64 };
}
